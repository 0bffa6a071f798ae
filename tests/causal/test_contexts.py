"""Context maps: a planted gate, and plain forwards of a tensor that was edited by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    ContextEffect,
    ContextMap,
    Generator,
    ParameterError,
    Probe,
    Segmenter,
    Share,
    SiteError,
    UnknownNameError,
    context_map,
)
from planted_doors import DOOR, Bands, Masonry, TwoHalves, doors, two_halves, walls
from subjects import probe_of, random_network

LEVELS = [0.4, -0.9, 0.7]


def mapped(n: int = 12, **how: object) -> tuple[ContextMap, Tensor]:
    probe = doors()
    latents = probe.generator.sample(n, seed=0)
    how = {"window": 1, "n_resamples": 400} | how
    found = context_map(probe, latents, "maps", [DOOR], 0.9, Masonry(), "door", **how)  # type: ignore[arg-type]
    return found, walls(latents.z)


def effects_of(found: ContextMap) -> dict[str, ContextEffect]:
    return {effect.there: effect for effect in found.by_class}


def test_a_door_appears_on_walls_and_nowhere_else() -> None:
    found, wall = mapped()
    on_wall = wall[:, ::2, ::2].numpy()  # one pixel of each cell
    assert np.array_equal(found.there, np.where(on_wall, 1, -1))
    assert found.change == pytest.approx(on_wall * 4 / 64)
    assert found.change_here == pytest.approx(found.change)
    assert np.array_equal(found.took, on_wall)
    effects = effects_of(found)
    assert set(effects) == {"wall", "none of them"}
    gated, open_ = effects["none of them"], effects["wall"]
    assert (gated.mean, gated.low, gated.high, gated.took) == (0, 0, 0, 0)
    assert gated.p == gated.q == 1
    assert open_.mean == pytest.approx(4 / 64)
    assert open_.q < 0.01
    assert (open_.took, open_.n_cells, open_.n_took) == (1, 96, 96)
    assert found.anywhere.mean == pytest.approx(2 / 64)
    nowhere, everywhere = Share(0, gated.n_samples), Share(open_.n_samples, open_.n_samples)
    assert (gated.took_low, gated.took_high) == (0, nowhere.high)
    assert (open_.took_low, open_.took_high) == (everywhere.low, 1)


def test_a_window_reaches_over_the_edge_of_the_wall_and_is_cut_at_the_images() -> None:
    found, wall = mapped(window=3)
    for sample, mask in enumerate(wall.numpy()):
        for y in range(4):
            for x in range(4):
                rows = slice(max(0, 2 * (y - 1)), 2 * (y + 2))
                columns = slice(max(0, 2 * (x - 1)), 2 * (x + 2))
                expected = mask[rows, columns].sum() / 64
                assert found.change[sample, y, x] == pytest.approx(expected)


def by_hand(
    probe: Probe, found: ContextMap, segmenter: Segmenter, name: str, z: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Change in the image, change under the window and the window's area before, (n, y, x)."""
    network = probe.generator.module
    assert isinstance(network, TwoHalves)
    front = network.front(z).detach()
    place = segmenter.place_of(name)

    def mask(activation: Tensor) -> Tensor:
        images = probe.generator.to_unit_range(network.back(activation).detach())
        return segmenter(images)[:, place].double()

    base = mask(front)
    results = []
    for cells in found.places.masks():
        edited = front.clone()
        for unit, level in zip(found.units, found.levels, strict=True):
            edited[:, unit][:, cells] = float(level)
        after = mask(edited)
        under = cells.repeat_interleave(2, 0).repeat_interleave(2, 1)
        results.append(
            ((after - base).mean((1, 2)),
             ((after - base) * under).mean((1, 2)), (base * under).mean((1, 2)))
        )  # fmt: skip
    n_y, n_x = found.places.grid
    return tuple(torch.stack(one, 1).unflatten(1, (n_y, n_x)) for one in zip(*results, strict=True))


@pytest.mark.parametrize(("grid", "window"), [(None, None), ((2, 5), (3, 2)), (3, 1)])
@pytest.mark.parametrize("name", Bands.classes)
def test_changes_are_those_of_plain_forwards_of_an_edited_tensor(
    grid: tuple[int, int] | None, window: tuple[int, int] | None, name: str
) -> None:
    probe, bands = two_halves(1), Bands()
    latents = probe.generator.sample(7, seed=2)
    found = context_map(
        probe, latents, "front", [4, 0, 1], LEVELS, bands, name, grid=grid, window=window
    )
    change, here, before = by_hand(probe, found, bands, name, latents.z.double())
    assert found.change == pytest.approx(change.numpy(), abs=1e-9)
    assert found.change_here == pytest.approx(here.numpy(), abs=1e-9)
    assert found.before_here == pytest.approx(before.numpy(), abs=1e-9)
    assert np.abs(found.change).max() > 0


def test_what_was_there_is_the_class_of_most_of_the_cell() -> None:
    probe, bands = two_halves(1), Bands()
    latents = probe.generator.sample(7, seed=2)
    found = context_map(probe, latents, "front", [0], 1.0, bands, "dark")
    masks = bands(probe.generator.to_unit_range(probe.images(latents)))
    both = torch.cat([masks, ~masks.any(1, keepdim=True)], 1)
    areas = both.double().unflatten(2, (4, 2)).unflatten(4, (5, 2)).sum((3, 5))
    expected = areas.argmax(1).numpy()
    assert np.array_equal(found.there, np.where(expected == 3, -1, expected))


def test_an_effect_counts_each_sample_once_by_the_mean_of_its_places() -> None:
    probe, bands = two_halves(1), Bands()
    latents = probe.generator.sample(20, seed=2)
    found = context_map(probe, latents, "front", [0, 3], 0.8, bands, "bright", seed=4)
    for effect in found.by_class:
        number = -1 if effect.there == "none of them" else bands.classes.index(effect.there)
        chosen = found.there == number
        means = [found.change[row][chosen[row]].mean() for row in range(20) if chosen[row].any()]
        assert effect.n_cells == chosen.sum()
        assert effect.n_samples == len(means)
        assert effect.mean == pytest.approx(np.mean(means))
        assert effect.low <= effect.mean <= effect.high
        absent = chosen & (found.before_here == 0)
        assert effect.n_absent == absent.sum()
        assert effect.n_took == (absent & found.took).sum()
    assert sum(effect.n_cells for effect in found.by_class) == 20 * 20


def test_levels_may_be_those_of_all_units_of_the_site() -> None:
    probe, bands = two_halves(), Bands()
    latents = probe.generator.sample(4)
    every = np.linspace(-1, 1, 6)
    whole = context_map(probe, latents, "front", [5, 2], torch.from_numpy(every), bands, "dark")
    some = context_map(probe, latents, "front#5,2", None, every[[5, 2]].tolist(), bands, "dark")
    assert np.array_equal(whole.change, some.change)
    assert whole.units == some.units == (5, 2)


def test_little_memory_gives_the_same() -> None:
    few, _ = mapped(memory=1)
    many, _ = mapped()
    assert np.array_equal(few.change, many.change)
    assert few.by_class == many.by_class


def test_one_sample_has_a_map_and_no_interval() -> None:
    found, _ = mapped(1)
    assert found.change.shape == (1, 4, 4)
    assert all(np.isnan(effect.low) for effect in found.by_class)


def test_noise_that_the_generator_draws_is_no_effect() -> None:
    class Noisy(TwoHalves):
        def forward(self, z: Tensor) -> Tensor:
            front = self.front(z)
            noise: Tensor = self.back(front + 0.5 * torch.randn_like(front))
            return noise

    noisy = Noisy()
    first = noisy.back[0]
    assert isinstance(first, nn.ConvTranspose2d)
    with torch.no_grad():
        first.weight[0] = 0.0  # nothing comes of unit 0
    probe = Probe(Generator.from_module(noisy, latent=5, name="noisy"))
    latents = probe.generator.sample(5)
    nothing = context_map(probe, latents, "front", [0], 1.0, Bands(), "dark")
    assert np.abs(nothing.change).max() == 0
    assert np.abs(context_map(probe, latents, "front", [1], 1.0, Bands(), "dark").change).max() > 0


def test_what_has_no_places_or_does_not_fit_is_refused() -> None:
    probe, masonry = doors(), Masonry()
    latents = probe.generator.sample(2)
    with pytest.raises(UnknownNameError, match="dor"):
        context_map(probe, latents, "maps", [0], 1.0, masonry, "dor")
    with pytest.raises(ParameterError, match="larger than the site's 4 x 4 cells"):
        context_map(probe, latents, "maps", [0], 1.0, masonry, "door", window=5)
    with pytest.raises(ParameterError, match="levels are one number"):
        context_map(probe, latents, "maps", [0], [1.0, 2.0], masonry, "door")
    with pytest.raises(ParameterError, match="level of unit 0 of maps is nan"):
        context_map(probe, latents, "maps", [0], float("nan"), masonry, "door")
    with pytest.raises(ParameterError, match="no unit was given"):
        context_map(probe, latents, "maps", [], 1.0, masonry, "door")
    flat = probe_of(random_network(0))
    with pytest.raises(SiteError, match="nothing can be inserted at a place"):
        context_map(flat, flat.generator.sample(2), "0", [0], 1.0, Bands(), "dark")
