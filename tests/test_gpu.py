"""On a GPU: recordings stay there, copies to the host run beside, and nothing waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ganprobe import (
    Ablate,
    ActivationStore,
    Generator,
    Intervention,
    Latents,
    Patch,
    Probe,
    Scale,
    Shift,
    Swap,
    find_segmenter,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Whatever makes the host wait for the device raises."""
    yield
    torch.cuda.set_sync_debug_mode("default")


def edits_of(probe: Probe) -> list[Intervention]:
    donor = probe.run(probe.generator.sample(4, start=9), record=["2", "4"])
    return [
        Ablate("2#1,4"),
        Scale("2", by=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], strength=0.5),
        Shift("4", direction=torch.ones(6, 8, 8), amount=0.1),
        Patch("2#5", values=donor["2"].cpu(), region=torch.eye(4)),
        Swap("4", donor=donor, units=[0, 3]),
        Swap("2#0", donor=[3, 2, 1, 0]),
    ]


def test_a_run_gives_what_it_gives_on_the_host(tiny: Generator) -> None:
    probe, on_host = Probe(tiny, device="cuda"), Probe(tiny)
    latents = tiny.sample(4)
    run = probe.run(latents, edits_of(probe), record=["2", "4"])
    expected = on_host.run(latents, edits_of(on_host), record=["2", "4"])
    assert run["2"].device.type == run.images.device.type == "cuda"
    for site in ("2", "4"):
        assert torch.allclose(run[site].cpu(), expected[site], atol=1e-4)
    assert torch.allclose(run.images.cpu(), expected.images, atol=1e-4)
    assert torch.equal(run.recording.cpu()["2"], run["2"].cpu())


def test_nothing_waits_for_the_device(tiny: Generator, no_waiting: None) -> None:
    probe = Probe(tiny, device="cuda")
    z = tiny.sample(4).to("cuda").z
    edits = edits_of(probe)
    with probe.intervening(edits, record=["2", "4#0,3"]), torch.no_grad():
        probe.generator.module(z)
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(3):
            probe.generator.module(z)
    plain = [Ablate("2#1,4"), Scale("2", by=2.0)]
    torch.cuda.set_sync_debug_mode("default")
    probe.run(Latents(z), plain, record=["4"])
    torch.cuda.set_sync_debug_mode("error")
    probe.run(Latents(z), plain, record=["4"])


def test_a_store_filled_from_the_device_holds_what_the_host_would_write(
    tiny: Generator, tmp_path: Path
) -> None:
    paths = [tmp_path / "gpu.h5", tmp_path / "host.h5"]
    for path, device in zip(paths, ("cuda", "cpu"), strict=True):
        Probe(tiny, device=device).record(200, ["2", "4"], path, batch_size=32)
    with ActivationStore(paths[0]) as gpu, ActivationStore(paths[1]) as host:
        for site in ("2", "4"):
            assert torch.allclose(gpu.activations(site), host.activations(site), atol=1e-4)


def test_noise_on_the_device_is_repeated_and_its_state_kept(tiny: Generator) -> None:
    class Noisy(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(5, 4)

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            maps: torch.Tensor = self.linear(z)
            return (maps + torch.randn_like(maps)).view(-1, 1, 2, 2)

    probe = Probe(Generator.from_module(Noisy().eval(), latent=5), device="cuda")
    probe.layers()
    before = torch.cuda.get_rng_state()
    assert torch.equal(probe.images(torch.zeros(2, 5)), probe.images(torch.zeros(2, 5)))
    assert torch.equal(torch.cuda.get_rng_state(), before)


@pytest.mark.parametrize(
    "name", ["luminance", "colours", "edges", "components", "position", "class:appearance"]
)
def test_segmenters_see_what_they_see_on_the_host(name: str) -> None:
    images = torch.rand(3, 3, 20, 17, generator=torch.Generator().manual_seed(0))
    segmenter = find_segmenter(name)
    masks = segmenter(images.cuda())
    assert masks.device.type == "cuda"
    assert (masks.cpu() == segmenter(images)).float().mean() > 0.999
