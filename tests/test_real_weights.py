"""A published generator of digits, on its real weights, where a copy of them is at hand.

They may not be distributed, so they are read from the folder that GANPROBE_TEST_WEIGHTS names,
or from ``shared/data`` beside the repository.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from described import read_described
from ganprobe import Ablate, ActivationStore, Context, Latents, Probe, Swap, search_units

BESIDE = Path(__file__).parents[2] / "shared" / "data"
FOLDER = Path(os.environ.get("GANPROBE_TEST_WEIGHTS", BESIDE))
DESCRIPTION = FOLDER / "mnist_swap_gan.json"

pytestmark = pytest.mark.skipif(not DESCRIPTION.exists(), reason="the weights are not at hand")


def test_its_layers_are_those_of_its_description() -> None:
    layers = Probe(read_described(DESCRIPTION)).layers()
    described = json.loads(DESCRIPTION.read_text())["layers"]
    assert [layer.name for layer in layers if layer.name] == [layer["name"] for layer in described]
    shapes = {name: layers.resolve_one(name).shape for name in ("act1", "act2", "act3", "act4")}
    assert shapes == {
        "act1": (256, 7, 7),
        "act2": (128, 7, 7),
        "act3": (64, 14, 14),
        "act4": (1, 28, 28),
    }


def test_recording_and_ablating_equal_forwards_cut_in_two_in_float64() -> None:
    generator = read_described(DESCRIPTION)
    probe = Probe(generator, dtype=torch.float64)
    module = probe.generator.module
    assert isinstance(module, torch.nn.Sequential)
    latents = generator.sample(4, seed=1)
    cut = [name for name, _ in module.named_children()].index("act2") + 1
    units = torch.randperm(128, generator=torch.Generator().manual_seed(2))[:20].tolist()
    with torch.no_grad():
        maps = module[:cut](latents.z.double())
        edited = maps.clone()
        edited[:, units] = 0.0
        images = module[cut:](edited)
    site = f"act2#{','.join(map(str, units))}"
    run = probe.run(latents, [Ablate(site)], record=["act2"])
    assert torch.allclose(run["act2"], edited, rtol=1e-12, atol=1e-14)
    assert torch.allclose(run.images, images, rtol=1e-12, atol=1e-14)
    assert torch.allclose(probe.run(latents, record=["act2"])["act2"], maps, rtol=1e-12)


def greedy_swaps(n_picks: int) -> list[int]:
    """The units of act2 whose swap moves a one furthest from itself, one added at a time."""
    generator = read_described(DESCRIPTION)
    probe = Probe(generator)
    stored = json.loads(DESCRIPTION.read_text())["stored_latents"]
    source, donor = (torch.tensor(stored[name][:1]) for name in ("ones", "threes"))
    base, recorded = probe.images(source), probe.run(donor, record=["act2"])
    picked: list[int] = []
    for _ in range(n_picks):
        distances = torch.zeros(128, dtype=torch.float64)
        for unit in set(range(128)) - set(picked):
            swapped = probe.run(source, Swap("act2", donor=recorded, units=[*picked, unit])).images
            distances[unit] = (swapped - base).double().square().mean()
        picked.append(int(distances.argmax()))
    return picked


@pytest.mark.parametrize("n_picks", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_greedy_swaps_find_the_units_that_a_plain_loop_found(n_picks: int) -> None:
    golden = json.loads((FOLDER / "mnist_swap_gan_golden.json").read_text())
    assert greedy_swaps(n_picks) == golden["eval"]["indices"][:n_picks]


@pytest.mark.parametrize("mode", ["eval", "sample"])
@pytest.mark.parametrize(
    "method",
    [
        "auto",
        "additive",
        "replay",
        "batched",
        pytest.param("single", marks=pytest.mark.slow),
    ],
)
def test_a_greedy_search_finds_the_units_that_a_plain_loop_found(mode: Any, method: Any) -> None:
    """The golden order of 20 picks, in both normalisation modes, by every method of a sweep."""
    golden = json.loads((FOLDER / "mnist_swap_gan_golden.json").read_text())
    golden = golden["per_sample" if mode == "sample" else "eval"]
    probe = Probe(read_described(DESCRIPTION).with_normalisation(mode))
    stored = json.loads(DESCRIPTION.read_text())["stored_latents"]
    source, donor = (torch.tensor(stored[name][:1]) for name in ("ones", "threes"))
    base = probe.images(source)
    found = search_units(
        probe,
        source,
        Swap("act2", donor=Latents(donor)),
        lambda images: (images - base).square().flatten(1).mean(1),
        method=method,
    )
    assert list(found.units) == golden["indices"]
    if "mse_path" in golden:
        assert found.values == pytest.approx(golden["mse_path"], abs=1e-4)
    assert found.how.method == method or method == "auto"


def test_latents_of_its_authors_are_read_from_their_file() -> None:
    probe = Probe(read_described(DESCRIPTION))
    context = Context(probe, 0, pytest.fail)
    stored = json.loads(DESCRIPTION.read_text())["stored_latents"]
    read = context.latents(f"@{DESCRIPTION}:stored_latents.threes")
    assert torch.equal(read.z, torch.tensor(stored["threes"]))


def test_its_activations_are_recorded(tmp_path: Path) -> None:
    probe = Probe(read_described(DESCRIPTION))
    path = probe.record(100, ["act2", "act3"], tmp_path / "swap.h5", seed=5)
    with ActivationStore(path) as store:
        latents = store.latents(slice(90, 100))
        again = probe.run(latents, record=["act2", "act3"])
        for site in ("act2", "act3"):
            stored = store.activations(site, slice(90, 100))
            assert torch.allclose(stored, again[site], atol=1e-5)
