"""Searches for units: what a plain loop of forwards picks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    Apply,
    FoundUnits,
    Generator,
    Intervention,
    NotReplayableError,
    ParameterError,
    Probe,
    Scale,
    Shift,
    SiteError,
    Swap,
    random_units,
    search_units,
)
from ganprobe.testing import planted_generator
from subjects import probe_of, random_network

Objective = Callable[[Tensor], Tensor]


def plain_greedy(
    probe: Probe,
    z: Tensor,
    template: Intervention,
    objective: Objective,
    n_units: int,
    sign: float,
    pool: list[int],
) -> tuple[list[int], list[float]]:
    """Exact greedy, one forward of all samples for each candidate; ties to the lowest index."""
    picked: list[int] = []
    values: list[float] = []
    for _ in range(n_units):
        best, top = -1, float("-inf")
        for unit in pool:
            if unit not in picked:
                images = probe.run(z, template.for_units((*picked, unit))).images
                value = sign * float(objective(images).double().mean())
                if value > top:
                    best, top = unit, value
        picked.append(best)
        values.append(sign * top)
    return picked, values


@pytest.mark.parametrize("method", ["auto", "additive", "replay", "batched", "single"])
@pytest.mark.parametrize("maximise", [True, False])
def test_greedy_picks_what_a_plain_loop_picks(method: str, maximise: bool) -> None:
    seed = torch.seed() % 2**31  # fresh each time; named when it fails
    torch.manual_seed(seed)
    probe = Probe(Generator.from_module(random_network(seed), latent=5))
    n = 1 + seed % 3
    z, donor = torch.randn(n, 5), torch.randn(n, 5)
    target = probe.images(donor)

    def objective(images: Tensor) -> Tensor:
        apart = images - target.repeat(len(images) // n, 1, 1, 1)
        return apart.square().flatten(1).mean(1)

    recorded = probe.run(donor, record=["1"])
    swap = Swap("1", donor=recorded)
    sign = 1.0 if maximise else -1.0
    picked, values = plain_greedy(probe, z, swap, objective, 6, sign, list(range(8)))
    found = search_units(
        probe,
        z,
        swap,
        objective,
        n_units=6,
        maximise=maximise,
        method=method,  # type: ignore[arg-type]
    )
    assert list(found.units) == picked, (seed, found.how)
    assert found.values == pytest.approx(values, rel=1e-4)
    base = float(objective(probe.images(z)).double().mean())
    assert found.base == pytest.approx(base, rel=1e-4)
    assert found.n_evaluated >= 8 + 7 + 6 + 5 + 4 + 3


def test_ties_go_to_the_lowest_index() -> None:
    torch.manual_seed(0)
    network = random_network(0)
    last = network[5]
    assert isinstance(last, nn.ConvTranspose2d)
    with torch.no_grad():
        last.weight[[1, 2, 4]] = 0.0  # dead units: every edit of them leaves the image
    probe = Probe(Generator.from_module(network, latent=5))
    z = torch.randn(1, 5)
    target = probe.images(z)

    def distance(images: Tensor) -> Tensor:
        return (images - target).square().flatten(1).sum(1)

    for method in ("auto", "additive", "replay", "single"):
        found = search_units(
            probe,
            z,
            Ablate("4", to=5.0),
            distance,
            n_units=4,
            maximise=False,
            method=method,
        )
        assert found.units[:3] == (1, 2, 4), method
        assert found.values[:3] == pytest.approx((0.0, 0.0, 0.0), abs=1e-10)


def test_ranking_orders_units_by_their_effect_alone() -> None:
    probe = Probe(Generator.from_module(random_network(5), latent=5), dtype=torch.float64)
    z = torch.randn(2, 5, dtype=torch.float64)

    def brightness(images: Tensor) -> Tensor:
        return images.flatten(1).mean(1)

    def value(units: list[int]) -> float:
        return float(brightness(probe.run(z, Ablate("4", units=units)).images).mean())

    alone = [value([unit]) for unit in range(6)]
    found = search_units(probe, z, Ablate("4"), brightness, n_units=3, strategy="rank")
    expected = sorted(range(6), key=lambda unit: -alone[unit])[:3]
    assert list(found.units) == expected
    values = [value(expected[: size + 1]) for size in range(3)]
    assert found.values == pytest.approx(values, rel=1e-9)
    assert repr(found).startswith("<FoundUnits: 3 of 4 by rank to maximise, from ")
    assert found.to_json()["intervention"] == {"kind": "Ablate", "site": "4"}


def test_random_units_are_nested_seeded_and_measured() -> None:
    probe = Probe(Generator.from_module(random_network(5), latent=5), dtype=torch.float64)
    z = torch.randn(1, 5, dtype=torch.float64)

    def brightness(images: Tensor) -> Tensor:
        return images.flatten(1).mean(1)

    scale = Scale("4", by=2.0)
    few = random_units(probe, z, scale, brightness, n_units=4, n_draws=3, seed=7)
    many = random_units(probe, z, scale, brightness, n_units=6, n_draws=5, seed=7)
    assert tuple(draw[:4] for draw in many.draws[:3]) == few.draws
    assert all(sorted(draw) == list(range(6)) for draw in many.draws)
    assert len(set(many.draws)) > 1
    for number, draw in enumerate(few.draws):
        for size in range(4):
            run = probe.run(z, scale.for_units(draw[: size + 1]))
            assert few.values[number, size] == pytest.approx(
                float(brightness(run.images)), rel=1e-9
            )
    assert few.base == pytest.approx(float(brightness(probe.images(z))), rel=1e-9)


class Gate(nn.Module):
    """Units 3 and 7 draw only together; unit 5 draws a little by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Linear(5, 10)
        with torch.no_grad():
            self.maps.weight.zero_()
            self.maps.bias.fill_(1.0)

    def forward(self, z: Tensor) -> Tensor:
        units = self.maps(z)
        image = units[:, 3] * units[:, 7] + 0.1 * units[:, 5]
        return torch.as_tensor(image).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def test_values_for_all_units_go_by_their_numbers_however_they_are_picked() -> None:
    torch.manual_seed(0)
    probe = Probe(Generator.from_module(random_network(5), latent=5), dtype=torch.float64)
    z, step = torch.randn(2, 5, dtype=torch.float64), torch.randn(6, dtype=torch.float64)

    def brightness(images: Tensor) -> Tensor:
        return images.flatten(1).mean(1)

    shift = Shift("4", direction=step)
    whole = float(brightness(probe.run(z, shift).images).mean())
    for method in ("additive", "replay", "single"):
        found = search_units(probe, z, shift, brightness, n_units=6, method=method)
        assert found.units != tuple(range(6))
        assert found.values[-1] == pytest.approx(whole, rel=1e-9), method


def test_planted_units_are_found_among_all_subsets() -> None:
    probe = probe_of(Gate())
    z = torch.zeros(1, 5)

    def brightness(images: Tensor) -> Tensor:
        return images.flatten(1).mean(1)

    values = probe.unit_values(z, Ablate("maps"), brightness)
    subsets = list(combinations(range(10), 2))
    found = dict(zip(subsets, values(subsets).tolist(), strict=True))
    assert {pair for pair, value in found.items() if value < 0.05} == {(3, 5), (5, 7)}
    greedy = search_units(probe, z, Ablate("maps"), brightness, n_units=2, maximise=False)
    assert greedy.units == (3, 5)
    assert greedy.values == pytest.approx((0.1, 0.0), abs=1e-6)
    with pytest.raises(NotReplayableError, match="no linear or convolution layer comes after"):
        search_units(probe, z, Ablate("maps"), brightness, n_units=2, method="additive")


def test_a_screen_tells_its_recall_when_it_is_verified() -> None:
    probe = Probe(Generator.from_module(random_network(2), latent=5))
    z, donor = torch.randn(1, 5), torch.randn(1, 5)
    target = probe.images(donor)

    def distance(images: Tensor) -> Tensor:
        return (images - target).square().flatten(1).mean(1)

    swap = Swap("1", donor=probe.run(donor, record="1"))
    exact = search_units(probe, z, swap, distance, n_units=4, maximise=False)
    whole = search_units(probe, z, swap, distance, n_units=4, maximise=False, screen=8, verify=True)
    assert whole.units == exact.units
    assert whole.recall is not None
    assert (whole.recall.share, whole.recall.n_best_kept, whole.recall.n_steps) == (1.0, 4, 4)
    assert whole.strategy == "greedy, gradient pre-screen of 8"
    assert exact.recall is None
    narrow = search_units(probe, z, swap, distance, n_units=4, maximise=False, screen=2)
    assert narrow.n_evaluated < exact.n_evaluated
    assert narrow.recall is None
    parameters = list(probe.generator.module.parameters())
    assert all(parameter.grad is None for parameter in parameters)


def test_a_screen_keeps_what_the_gradient_promises() -> None:
    """On a linear generator the gradient is exact: the screened search is the exact one."""
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(5, 12), nn.Linear(12, 4), nn.Unflatten(1, (1, 2, 2)))
    probe = probe_of(module)
    z = torch.randn(3, 5)

    def brightness(images: Tensor) -> Tensor:
        return images.flatten(1).sum(1)

    exact = search_units(probe, z, Ablate("0"), brightness, n_units=5)
    screened = search_units(probe, z, Ablate("0"), brightness, n_units=5, screen=1)
    assert screened.units == exact.units


def test_searches_stay_within_the_units_that_the_site_names() -> None:
    probe = Probe(Generator.from_module(random_network(2), latent=5))
    z = torch.randn(1, 5)

    def brightness(images: Tensor) -> Tensor:
        return images.flatten(1).mean(1)

    found = search_units(probe, z, Ablate("4#5,1,2"), brightness, n_units=3)
    assert set(found.units) == {1, 2, 5}
    same = Apply("4#1,2,5", function=torch.zeros_like)
    assert search_units(probe, z, same, brightness, n_units=3).units == found.units


def test_what_cannot_be_searched_is_said() -> None:
    probe = Probe(Generator.from_module(random_network(2), latent=5))
    z = torch.randn(1, 5)

    def pair(images: Tensor) -> Tensor:
        return torch.stack([images.flatten(1).mean(1), images.flatten(1).amax(1)], 1)

    with pytest.raises(ParameterError, match="there are 6 units to choose among at 4, got n_uni"):
        search_units(probe, z, Ablate("4"), pair, n_units=7)
    with pytest.raises(ParameterError, match="no column 2 in an objective of 2"):
        search_units(probe, z, Ablate("4"), pair, n_units=2, column=2)
    with pytest.raises(ParameterError, match="there is no screen to verify"):
        search_units(probe, z, Ablate("4"), pair, n_units=2, verify=True)
    with pytest.raises(ParameterError, match="a screen is for a greedy search"):
        search_units(probe, z, Ablate("4"), pair, n_units=2, screen=3, strategy="rank")
    with pytest.raises(ParameterError, match="this objective has no gradient"):
        search_units(
            probe, z, Ablate("4"), lambda images: pair(images.detach()), screen=3, n_units=2
        )
    values = probe.unit_values(z, Ablate("4"), pair)
    for sets, message in (([(0, 6)], "no unit 6 at 4"), ([(1,), (2, 2)], "2 is named twice")):
        with pytest.raises(ParameterError, match=message):
            values(sets)
    with pytest.raises(SiteError, match="stands for"):
        search_units(probe, z, Ablate("*"), pair, n_units=2)
    with pytest.raises(ParameterError, match="the number of draws is a whole number from 1 on"):
        random_units(probe, z, Ablate("4"), pair, n_units=2, n_draws=0)


def test_of_units_that_stand_in_for_each_other_the_preferred_one_leads_to_the_other() -> None:
    planted = planted_generator(seed=5)
    pair = planted.truth.units["lamp"]
    latents = planted.generator.sample(12, seed=5)
    ablate = Ablate(planted.site)
    measure = planted.context().measure("area:planted")
    lamp = measure.columns.index("lamp")
    n_units = planted.truth.n_units

    def search(preferred: Sequence[int]) -> FoundUnits:
        return search_units(
            Probe(planted.generator),
            latents,
            ablate,
            measure,
            n_units=2,
            maximise=False,
            column=lamp,
            preferred=preferred,
        )

    assert set(search(pair).units) == set(pair)
    assert search(pair).values[-1] == 0
    assert search(planted.truth.noise).units[0] == planted.truth.noise[0]
    assert search(()).units == search(range(n_units)).units
