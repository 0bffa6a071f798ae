"""Sweeps where it would be easy to be silently wrong."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    Apply,
    Intervention,
    NotReplayableError,
    ParameterError,
    Probe,
    Scale,
    Swap,
    search_units,
)
from ganprobe.engine import is_block_open
from subjects import probe_of
from traces import hooks_of, state_of

METHODS = ("auto", "additive", "replay", "batched", "single")


def by_runs(probe: Probe, z: Tensor, variants: Sequence[Any]) -> Tensor:
    return torch.stack([probe.run(z, variant).images for variant in variants])


def assert_right_or_refused(
    probe: Probe, z: Tensor, variants: Sequence[Any], methods: Sequence[str] = METHODS
) -> None:
    """By every method the images are those of runs, or the method says that it cannot."""
    sweep: Any = probe.sweep
    for method in methods:
        expected = by_runs(probe, z, variants)
        try:
            images = torch.stack(list(sweep(z, variants, method=method)))
        except NotReplayableError:
            assert method not in ("auto", "single")
            continue
        assert torch.allclose(images, expected, rtol=1e-9, atol=1e-11), method


def brightness(images: Tensor) -> Tensor:
    return images.flatten(1).mean(1)


class Wired(nn.Module):
    """Latents (n, 5) through `first` and `second`, as `wire` says, to (n, 1, 4, 4)."""

    def __init__(self, wire: Callable[[Any, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 16)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.wire = wire

    def forward(self, z: Tensor) -> Tensor:
        return torch.as_tensor(self.last(self.wire(self, z))).view(-1, 1, 4, 4)


searched: Any = search_units


def wired(wire: Callable[[Any, Tensor], Tensor], **layers: nn.Module) -> Probe:
    torch.manual_seed(0)
    return probe_of(Wired(wire, **layers).double())


def straight(net: Any, z: Tensor) -> Tensor:
    return torch.as_tensor(net.second(net.first(z).tanh()).tanh())


def some_z(n: int = 1, seed: int = 1) -> Tensor:
    return torch.randn(n, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_an_edit_of_no_strength_is_none_beside_others() -> None:
    variants = [Ablate("second#5", strength=strength) for strength in (1.0, 0.5, 0.0, 1.0, 0.0)] * 3
    assert_right_or_refused(wired(straight), some_z(), variants)


def test_samples_that_influence_each_other_are_not_taken_apart() -> None:
    def coupled(net: Any, z: Tensor) -> Tensor:
        hidden = net.second(net.first(z)).relu()
        return torch.as_tensor(hidden - 0.1 * hidden.mean(0))

    probe, z = wired(coupled), some_z(40)
    variants = [Ablate("second", units=[unit]) for unit in range(8)] * 4
    expected = torch.stack([brightness(images) for images in by_runs(probe, z, variants)])
    for method in ("auto", "single"):
        sweep: Any = probe.sweep
        values = sweep(z, variants, brightness, method=method).values[..., 0]
        assert torch.allclose(values, expected, rtol=1e-9), method


@pytest.mark.parametrize("n", [1, 4])
def test_an_objective_that_compares_samples_sees_all_of_them(n: int) -> None:
    def spread(images: Tensor) -> Tensor:
        apart = torch.linalg.vector_norm((images - images.mean(0)).flatten(1), dim=1)
        return torch.as_tensor(apart + brightness(images))

    probe, z = wired(straight), some_z(n)
    variants = [Ablate("second", units=[unit]) for unit in range(8)] * 2
    expected = torch.stack([spread(images) for images in by_runs(probe, z, variants)])
    assert torch.allclose(probe.sweep(z, variants, spread).values[..., 0], expected, rtol=1e-9)
    found = search_units(probe, z, Ablate("second"), spread, n_units=3)
    for size, value in enumerate(found.values, start=1):
        run = probe.run(z, Ablate("second", units=found.units[:size]))
        assert value == pytest.approx(float(spread(run.images).mean()), rel=1e-6)


def test_an_objective_may_hold_images_of_its_own_for_each_sample() -> None:
    probe, z = wired(straight), some_z(3)
    base = probe.images(z)

    def moved(images: Tensor) -> Tensor:
        return (images - base).abs().flatten(1).mean(1)

    variants = [Ablate("second", units=[unit]) for unit in range(8)]
    expected = torch.stack([moved(images) for images in by_runs(probe, z, variants)])
    assert torch.allclose(probe.sweep(z, variants, moved).values[..., 0], expected, rtol=1e-9)
    assert len(search_units(probe, z, Ablate("second"), moved, n_units=2).units) == 2


def test_an_objective_may_write_into_the_images_it_is_given() -> None:
    probe, z = wired(straight), some_z(2)
    variants = [Ablate("second", units=[unit]) for unit in range(8)]
    values = probe.sweep(z, variants, lambda images: brightness(images.add_(1.0).mul_(2.0))).values
    expected = torch.stack([brightness((i + 1) * 2) for i in by_runs(probe, z, variants)])
    assert torch.allclose(values[..., 0], expected, rtol=1e-9)


def test_images_may_be_written_into() -> None:
    def aside(net: Any, z: Tensor) -> Tensor:
        net.second(net.first(z))
        return torch.as_tensor(net.first(z))

    z, variants = some_z(), [Ablate("second", units=[unit]) for unit in range(8)] * 2
    for probe in (wired(straight), wired(aside)):
        edits: Any
        for edits in (variants, [[] for _ in variants]):
            expected = by_runs(probe, z, edits)
            for number, images in enumerate(probe.sweep(z, edits, method="replay")):
                assert torch.allclose(images, expected[number], rtol=1e-9)
                images.mul_(2.0)


class Leaving(nn.Linear):
    """Leaves what it made, and how large it is, on itself."""

    made: Tensor
    gain: float

    def forward(self, given: Tensor) -> Tensor:
        self.made = super().forward(given)
        self.gain = float(self.made.abs().max())
        return self.made


@pytest.mark.parametrize("what", ["made", "gain"])
def test_what_a_layer_leaves_beside_what_it_returns_is_its_own(what: str) -> None:
    def beside(net: Any, z: Tensor) -> Tensor:
        hidden = net.leaving(z).tanh()
        return torch.as_tensor(net.second(hidden) + getattr(net.leaving, what))

    probe = wired(beside, leaving=Leaving(5, 8))
    one, other = some_z(seed=1), some_z(seed=2)
    variants = [Ablate("second", units=[unit]) for unit in range(8)] * 3
    expected = by_runs(probe, one, variants), by_runs(probe, other, variants)
    pairs = zip(probe.sweep(one, variants), probe.sweep(other, variants), strict=True)
    for number, (first, second) in enumerate(pairs):
        assert torch.allclose(first, expected[0][number], rtol=1e-9)
        assert torch.allclose(second, expected[1][number], rtol=1e-9)


def test_a_path_that_only_large_values_take_is_right_or_refused() -> None:
    def written(net: Any, z: Tensor) -> Tensor:
        early, hidden = net.first(z), net.second(net.first(z))
        if hidden.max() > 50:
            early.add_(hidden)
            return torch.as_tensor(early)
        return torch.as_tensor(early + hidden)

    def again(net: Any, z: Tensor) -> Tensor:
        hidden = net.second(net.first(z))
        return torch.as_tensor(net.second(hidden * 0.01) if hidden.max() > 50 else hidden)

    def drawn(net: Any, z: Tensor) -> Tensor:
        early = net.first(z)
        hidden = net.second(early + torch.randn_like(early))
        return torch.as_tensor(hidden + torch.randn_like(hidden) if hidden.max() > 50 else hidden)

    variants = [Ablate("second", to=100.0 if u in (5, 6, 7) else 0.0, units=[u]) for u in range(8)]
    for wire in (written, again, drawn):
        assert_right_or_refused(wired(wire), some_z(), variants * 2)


def test_lists_that_a_forward_fills_and_empties_are_remembered_as_they_were() -> None:
    class Down(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(5, 8), nn.Linear(8, 8)

        def forward(self, z: Tensor) -> tuple[Tensor, list[Any]]:
            one = self.one(z)
            return self.two(one), [z, one, []]

    def across(net: Any, z: Tensor) -> Tensor:
        hidden, skips = net.down(z)
        skips.pop().append(hidden)
        hidden = net.second(hidden)
        return torch.as_tensor(hidden + skips.pop())

    probe = wired(across, down=Down())
    variants = [Ablate("second", units=[unit]) for unit in range(8)] * 2
    assert_right_or_refused(probe, some_z(2), variants)
    assert probe.sweep(some_z(), variants, method="replay").how.method == "replay"


def test_a_sweep_gone_through_again_follows_weights_and_latents() -> None:
    probe, z = wired(straight), some_z()
    variants = [Ablate("second", units=[unit]) for unit in range(8)]
    sweep = probe.sweep(z, variants, method="replay")
    values = probe.unit_values(z, Ablate("second"), brightness, n_expected=50)
    list(sweep)
    values([(0,)])
    with torch.no_grad():
        probe.generator.module.get_parameter("first.weight").mul_(1.5)
    expected = by_runs(probe, z.clone(), variants)
    kept = z.clone()
    z.neg_()
    assert torch.allclose(torch.stack(list(sweep)), expected, rtol=1e-9)
    run = probe.run(kept, Ablate("second", units=[1]))
    assert float(values([(1,)])) == pytest.approx(float(brightness(run.images)), rel=1e-9)


def test_a_block_opened_on_the_way_is_noticed() -> None:
    probe, z = wired(straight), some_z()
    variants = [Ablate("second", units=[unit]) for unit in range(8)] * 3
    expected = by_runs(probe, z, variants)
    edited = by_runs(probe, z, [[variant, Scale("last", by=2.0)] for variant in variants])
    images = iter(probe.sweep(z, variants, chunk=8))
    first = [next(images) for _ in range(8)]
    with probe.intervening(Scale("last", by=2.0)):
        rest = list(images)
    assert torch.allclose(torch.stack(first), expected[:8], rtol=1e-9)
    assert torch.allclose(torch.stack(rest), edited[8:], rtol=1e-9)


def test_a_permutation_between_site_and_linear_layer_is_no_sum_of_its_units() -> None:
    for order in ([1, 0, *range(2, 8)], [0, 1, 2, 3, 7, 6, 5, 4], [3, 1, 2, 0, 4, 5, 6, 7]):

        def shuffled(net: Any, z: Tensor, order: list[int] = order) -> Tensor:
            return torch.as_tensor(net.second(net.first(z)[:, order]))

        probe = wired(shuffled)
        pairs = [Ablate("first", units=pair) for pair in ([0, 1], [4, 7], [5, 6])]
        variants: list[Intervention] = [*pairs * 4, *(Ablate("first", units=[u]) for u in range(8))]
        assert_right_or_refused(probe, some_z(), variants)


def test_units_that_influence_each_other_only_far_out_are_no_sum() -> None:
    def bounded(net: Any, z: Tensor) -> Tensor:
        hidden = net.first(z)
        norm = hidden.norm(dim=1, keepdim=True)
        return torch.as_tensor(net.second(hidden * (20.0 / norm).clamp(max=1.0)))

    variants = [Scale("first", by=1.01, units=[unit]) for unit in range(8)] * 2
    variants.append(Scale("first", by=500.0, units=[3]))
    assert_right_or_refused(wired(bounded), some_z(), variants)


def test_functions_may_draw_beside_a_forward_that_draws() -> None:
    def noisy(net: Any, z: Tensor) -> Tensor:
        hidden = net.second(net.first(z))
        return torch.as_tensor(hidden + torch.randn_like(hidden))

    def jitter(activation: Tensor) -> Tensor:
        own = torch.Generator().manual_seed(3)
        return activation + torch.randn(activation.shape, generator=own).to(activation)

    probe, z = wired(noisy), some_z(2)
    variants = [Apply("second", function=jitter, units=[unit]) for unit in range(8)]
    assert_right_or_refused(probe, z, variants)
    assert probe.sweep(z, variants).how.method == "replay"
    swaps = [Swap("second", donor=[1, 0], units=[unit]) for unit in range(8)]
    assert_right_or_refused(probe, z, swaps)


def test_images_of_whole_numbers_are_swept() -> None:
    class Whole(Wired):
        def forward(self, z: Tensor) -> Tensor:
            return torch.as_tensor((super().forward(z).sigmoid() * 255).to(torch.uint8))

    torch.manual_seed(0)
    probe = probe_of(Whole(straight).double())
    variants = [Ablate("second", units=[unit]) for unit in range(8)]
    assert_right_or_refused(probe, some_z(), variants)
    values = probe.sweep(some_z(), variants, lambda images: images.double().flatten(1).mean(1))
    assert values.values.shape == (8, 1, 1)


def test_a_sweep_within_inference_mode_is_a_sweep() -> None:
    probe, z = wired(straight), some_z()
    variants = [Ablate("second", units=[unit]) for unit in range(8)] * 2
    expected = by_runs(probe, z, variants)
    with torch.inference_mode():
        for method in ("auto", "additive", "replay", "single"):
            images = list(probe.sweep(z, variants, method=method))
            assert torch.allclose(torch.stack(images), expected, rtol=1e-9), method


def test_threads_may_sweep_the_same_module_at_once() -> None:
    probe = wired(straight)
    module = probe.generator.module
    probe.layers()
    before = hooks_of(module), state_of(module)
    variants = [Ablate("second", units=[unit]) for unit in range(8)] * 3
    latents = [some_z(seed=seed) for seed in range(3)]
    expected = [by_runs(probe, z, variants) for z in latents]
    wrong: list[float] = []

    def sweep(number: int) -> None:
        for _ in range(5):
            images = torch.stack(list(probe.sweep(latents[number], variants, method="replay")))
            wrong.append(float((images - expected[number]).abs().max()))

    threads = [threading.Thread(target=sweep, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 15
    assert max(wrong) < 1e-9
    assert (hooks_of(module), state_of(module)) == before


# An interruption that comes while a callback of the garbage collector runs is reported there.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interruption_leaves_the_module_as_it_was() -> None:
    probe, z = wired(straight), some_z()
    module = probe.generator.module
    probe.layers()
    before = hooks_of(module), state_of(module)
    variants = [Ablate("second", units=[unit]) for unit in range(8)] * 3
    n_interrupted = 0
    for number in range(12):
        signal.setitimer(signal.ITIMER_REAL, 0.002 + 0.002 * number)
        try:
            handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
            try:
                for _ in range(20):  # far longer than that; a callback may swallow it
                    list(probe.sweep(z, variants, method="replay"))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0.0)
                signal.signal(signal.SIGALRM, handler)
        except KeyboardInterrupt:
            n_interrupted += 1
        gc.collect()  # of frames that were suspended within a block
        assert not is_block_open()
        assert (hooks_of(module), state_of(module)) == before
    assert n_interrupted > 6
    assert_right_or_refused(probe, z, variants, ("auto", "replay"))


def test_objectives_that_are_not_numbers_lose() -> None:
    probe, z = wired(straight), some_z()
    far = torch.tensor(float("nan"), dtype=torch.float64)
    each = [Ablate("second", units=[unit]) for unit in range(8)]
    middle = float(probe.sweep(z, each, brightness).values.median()) - 1e-9

    def partly(images: Tensor) -> Tensor:
        values = brightness(images)
        return torch.where(values > middle, values, far)

    found = search_units(probe, z, Ablate("second"), partly, n_units=1)
    assert found.values[0] > middle
    ranked = search_units(probe, z, Ablate("second"), partly, n_units=1, strategy="rank")
    assert ranked.units == found.units


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda p, z: p.sweep(z, 3), "variants are a list of interventions or of lists, got 3"),
        (lambda p, z: p.sweep(z, [None]), "got None in variant 0"),
        (lambda p, z: p.sweep(z, [Ablate("second")], chunk=2.5), "a chunk is a whole number"),
        (lambda p, z: p.sweep(z, [Ablate("second")], memory_limit="1GB"), "a memory limit is a"),
        (lambda p, z: p.sweep(z, [Ablate("second")], lambda i: i.flatten(1)[:, :0]), r"\(1, 0\)"),
        (lambda p, z: p.sweep(z, [Ablate("second")], lambda i: 3.0), "a tensor of real numbers"),
        (lambda p, z: p.unit_values(z, [Ablate("second")] * 2, brightness), "one intervention is"),
        (lambda p, z: p.unit_values(z, Ablate("second"), brightness)([3]), "some whole numbers"),
        (lambda p, z: searched(p, z, Ablate("second"), brightness, n_units=2.5), "whole number"),
        (
            lambda p, z: searched(p, z, Ablate("second"), brightness, n_units=1, column="a"),
            "a colu",
        ),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_sentence(
    ask: Callable[[Probe, Tensor], object], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        ask(wired(straight), some_z())


def test_one_intervention_is_one_variant() -> None:
    probe, z = wired(straight), some_z()
    (images,) = probe.sweep(z, Ablate("second"))
    assert torch.allclose(images, probe.run(z, Ablate("second")).images)
