from __future__ import annotations

import pytest
import torch

from ganprobe import Ablate, Generator, ParameterError, Probe, UsageError
from subjects import TinyNetwork


def test_images_of_a_sample_agree_at_any_batch_size(tiny: Generator) -> None:
    probe = Probe(tiny)
    whole = probe.images(tiny.sample(50, seed=2))
    for batch_size in (1, 8, 33):
        runs = list(probe.runs(50, seed=2, batch_size=batch_size, record=["2"]))
        assert torch.allclose(torch.cat([run.images for run in runs]), whole, atol=1e-6)
        assert sum(len(run["2"]) for run in runs) == 50


def test_runs_are_edited_like_a_run(tiny: Generator) -> None:
    probe = Probe(tiny)
    edits = [Ablate("2#0-3")]
    batches = torch.cat([run.images for run in probe.runs(10, edits, seed=1, batch_size=10)])
    assert torch.equal(batches, probe.run(tiny.sample(10, seed=1), edits).images)


def test_runs_are_checked_before_the_first(tiny: Generator) -> None:
    with pytest.raises(ParameterError, match="no unit 6"):
        Probe(tiny).runs(10, record=["2#6"])
    with pytest.raises(ParameterError, match="batch size is at least 1, got 0"):
        Probe(tiny).runs(10, batch_size=0)


def test_no_hook_is_left_between_batches_or_when_the_loop_is_left(
    tiny: Generator, network: TinyNetwork
) -> None:
    for run in Probe(tiny).runs(10, record=["2"], batch_size=2):
        assert not network[2]._forward_hooks
        assert run["2"].shape == (2, 6, 4, 4)
        break
    assert not network[2]._forward_hooks


def test_another_dtype_moves_a_copy(tiny: Generator, network: TinyNetwork) -> None:
    probe = Probe(tiny, dtype=torch.float64)
    run = probe.run(tiny.sample(2), record=["2"])
    assert run["2"].dtype == run.images.dtype == torch.float64
    assert network.get_parameter("0.weight").dtype == torch.float32
    assert Probe(tiny).generator is tiny


def test_a_device_that_is_not_here_is_named(tiny: Generator) -> None:
    with pytest.raises(ParameterError, match=r"no device 'cuda:99' here; there is: "):
        Probe(tiny, device="cuda:99")
    with pytest.raises(ParameterError, match=r"no device 'gpu' here"):
        Probe(tiny, device="gpu")


@pytest.mark.parametrize("shape", [(2, 4), (2, 5, 1), (0, 5), (5,)])
def test_latents_of_another_shape_are_refused(tiny: Generator, shape: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError, match=r"latents of generator 'tiny' are \(n, 5\)"):
        Probe(tiny).run(torch.zeros(shape))


def test_what_was_not_recorded_names_what_was(tiny: Generator) -> None:
    run = Probe(tiny).run(tiny.sample(2), record=["2", "4"])
    with pytest.raises(KeyError, match="3 was not recorded; recorded: 2, 4"):
        run["3"]
    assert {str(site) for site in run.recording} == {"2", "4"}


def test_a_run_says_what_it_is_in_one_line(tiny: Generator) -> None:
    probe = Probe(tiny)
    run = probe.run(tiny.sample(2), record=["2"])
    recorded = "<Recording of 2 (2, 6, 4, 4)>"
    assert repr(run) == f"<Run of 2 latents, images (2, 1, 8, 8), {recorded}>"
    stopped = probe.run(tiny.sample(2), record=["2"], stop_early=True)
    assert repr(stopped) == f"<Run of 2 latents, stopped early, {recorded}>"


def test_a_module_that_cannot_be_copied_is_not_moved_and_says_so(network: TinyNetwork) -> None:
    module = torch.nn.Sequential(network).eval()
    module.made_with_gradients = torch.ones(2, requires_grad=True) * 2.0
    with pytest.raises(UsageError, match=r"cannot be copied to be moved .* move it yourself"):
        Probe(Generator.from_module(module, latent=5), dtype=torch.float64)
