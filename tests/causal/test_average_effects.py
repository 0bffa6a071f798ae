"""Average causal effects: planted ones, and plain forwards of a tensor that was edited by hand."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    CausalEffects,
    Generator,
    ParameterError,
    Probe,
    average_causal_effect,
    average_causal_effects,
)
from planted_doors import DOOR, N_UNITS, Bands, Masonry, TwoHalves, doors, two_halves, walls


def by_hand(probe: Probe, found: CausalEffects, name: str, z: Tensor) -> dict[str, np.ndarray]:
    """(sets, n) of what is inserted and ablated, and (n,) of nothing, read in each own place."""
    network, bands = probe.generator.module, Bands()
    assert isinstance(network, TwoHalves)
    place, masks = bands.place_of(name), found.places.masks()

    def share(
        one: Tensor, units: tuple[int, ...], cells: Tensor, levels: np.ndarray | None
    ) -> float:
        edited = network.front(one[None]).detach()
        for unit in units:
            edited[0, unit][cells] = 0.0 if levels is None else float(levels[unit])
        images = probe.generator.to_unit_range(network.back(edited).detach())
        under = cells.repeat_interleave(2, 0).repeat_interleave(2, 1)
        return float(bands(images)[0, place][under].double().mean())

    def rows(levels: np.ndarray | None, *, edits: bool = True) -> list[list[float]]:
        return [
            [
                float(np.mean([
                    share(one, units if edits else (), masks[at], levels) for at in drawn
                ]))
                for one, drawn in zip(z, found.drawn, strict=True)
            ]
            for units in found.sets
        ]  # fmt: skip

    return {
        "inserted": np.array(rows(found.levels)),
        "ablated": np.array(rows(None)),
        "base": np.array(rows(None, edits=False))[0],
    }


@pytest.mark.parametrize("n_places", [1, 3, "all"])
def test_both_terms_are_read_in_the_place_where_the_units_were_set(
    n_places: int | Literal["all"],
) -> None:
    probe = two_halves(3)
    latents = probe.generator.sample(5, seed=1)
    levels = np.linspace(-0.9, 0.9, 6)
    found = average_causal_effects(
        probe, latents, "front", [(0,), (3, 1), (5, 4, 2)], torch.from_numpy(levels), Bands(),
        "bright", n_places=n_places, seed=2,
    )  # fmt: skip
    expected = by_hand(probe, found, "bright", latents.z.double())
    assert found.base == pytest.approx(expected["base"])
    assert found.inserted == pytest.approx(expected["inserted"])
    assert found.ablated == pytest.approx(expected["ablated"])
    difference = expected["inserted"] - expected["ablated"]
    assert found.effects.mean == pytest.approx(difference.mean(1))
    assert np.abs(difference).max() > 0.05


def test_the_unit_that_draws_doors_has_the_effect_of_the_share_of_walls() -> None:
    probe = doors()
    latents = probe.generator.sample(40, seed=0)
    found = average_causal_effects(
        probe, latents, "maps", None, 0.9, Masonry(), "door", n_places="all", window=1,
        n_resamples=400,
    )  # fmt: skip
    share = walls(latents.z).double().mean().item()
    assert found.effects.mean == pytest.approx(
        [share if unit == DOOR else 0.0 for unit in range(N_UNITS)]
    )
    is_found = found.effects.q < 0.05
    assert np.flatnonzero(is_found).tolist() == [DOOR]
    assert (found.ablated == 0).all()


def test_one_set_is_the_first_of_many() -> None:
    probe = two_halves(3)
    latents = probe.generator.sample(6, seed=1)
    levels = [0.5, -0.5]
    one = average_causal_effect(probe, latents, "front", (3, 1), levels, Bands(), "bright", seed=7)
    whole = [0, -0.5, 0, 0.5, 0, 0]
    many = average_causal_effects(
        probe, latents, "front", [(3, 1), (0,)], whole, Bands(), "bright", seed=7
    )
    assert np.array_equal(one.inserted, many.inserted[:1])
    assert one.sets == ((3, 1),)
    named = average_causal_effect(
        probe, latents, "front#3,1", None, levels, Bands(), "bright", seed=7
    )
    assert np.array_equal(named.inserted, one.inserted)


def test_places_are_drawn_without_replacement_by_the_seed() -> None:
    probe = two_halves(3)
    latents = probe.generator.sample(30)
    first, again, other = (
        average_causal_effect(
            probe, latents, "front", [0], 1.0, Bands(), "dark", n_places=6, seed=seed
        ).drawn
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert all(len(set(row)) == 6 for row in first.tolist())
    assert len({tuple(row) for row in first.tolist()}) > 20
    assert set(first.ravel().tolist()) == set(range(20))


def test_little_memory_gives_the_same() -> None:
    probe = two_halves(3)
    latents = probe.generator.sample(6)
    whole, parts = (
        average_causal_effects(
            probe, latents, "front", None, 0.8, Bands(), "dark", n_places=2, memory=memory
        )
        for memory in (2**28, 1)
    )
    assert np.array_equal(whole.inserted, parts.inserted)
    assert np.array_equal(whole.ablated, parts.ablated)


def test_a_site_without_space_has_one_place_everywhere() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 12), nn.Unflatten(1, (3, 2, 2))).eval()
    probe = Probe(Generator.from_module(module, latent=5, name="flat"))
    latents = probe.generator.sample(8)
    found = average_causal_effects(probe, latents, "0", None, 0.9, Bands(), "bright")
    z = latents.z
    assert len(found.places) == 1
    for unit in range(12):
        for level, values in ((0.9, found.inserted), (0.0, found.ablated)):
            edited = module[0](z).detach()
            edited[:, unit] = level
            images = probe.generator.to_unit_range(edited.unflatten(1, (3, 2, 2)))
            expected = Bands()(images)[:, 2].double().mean((1, 2))
            assert values[unit] == pytest.approx(expected.numpy())
    with pytest.raises(ParameterError, match="0 has no axes y and x, so that it has no places"):
        average_causal_effects(probe, latents, "0", None, 0.9, Bands(), "bright", window=2)


def test_wishes_that_cannot_be_are_refused() -> None:
    probe = two_halves()
    latents = probe.generator.sample(2)
    with pytest.raises(ParameterError, match="there are 20 places, a grid of 4 x 5"):
        average_causal_effects(probe, latents, "front", None, 1.0, Bands(), "dark", n_places=21)
    with pytest.raises(ParameterError, match="hold a unit each"):
        average_causal_effects(probe, latents, "front", [()], 1.0, Bands(), "dark")


@pytest.mark.slow
def test_intervals_hold_the_effect_of_many_samples_in_95_of_100_cases() -> None:
    probe, n, n_cases = doors(), 30, 400
    latents = probe.generator.sample(n * n_cases, seed=5)
    held = 0
    for case in range(n_cases):
        part = latents[case * n : (case + 1) * n]
        found = average_causal_effect(
            probe, part, "maps", [DOOR], 0.9, Masonry(), "door", window=1, seed=case,
            n_places=4, n_resamples=600,
        ).effects  # fmt: skip
        held += bool(found.low[0] <= 0.5 <= found.high[0])
    assert 0.92 <= held / n_cases <= 0.98
