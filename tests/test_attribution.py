"""Approximations by gradients, against derivatives taken by hand in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganprobe import Ablate, Generator, ParameterError, Probe, Swap, search_units
from subjects import random_network

CUT = 2


def subject(seed: int) -> tuple[Probe, nn.Sequential]:
    probe = Probe(Generator.from_module(random_network(seed), latent=5), dtype=torch.float64)
    module = probe.generator.module
    assert isinstance(module, nn.Sequential)
    return probe, nn.Sequential(*module)


def brightness(images: Tensor) -> Tensor:
    return images.square().flatten(1).mean(1)


def by_hand(module: nn.Sequential, z: Tensor, donor: Tensor, n_steps: int | None) -> Tensor:
    """(units,) gradient times change; with steps, the gradient's mean at their middles."""
    with torch.no_grad():
        maps, others = module[:CUT](z), module[:CUT](donor)
    change = others - maps
    shares = [0.0] if n_steps is None else [(step + 0.5) / n_steps for step in range(n_steps)]
    gradients = []
    for share in shares:
        at = (maps + share * change).requires_grad_()
        value = brightness(module[CUT:](at)).mean()
        gradients.append(torch.autograd.grad(value, at)[0])
    promise: Tensor = (torch.stack(gradients).mean(0) * change).sum((0, 2, 3))
    return promise


@pytest.mark.parametrize(("strategy", "n_steps"), [("gradient", None), ("integrated", 8)])
@pytest.mark.parametrize("maximise", [True, False])
def test_units_are_ranked_by_the_derivative_taken_by_hand(
    strategy: Any, n_steps: int | None, maximise: bool
) -> None:
    seed = torch.seed() % 2**31  # fresh each time; named when it fails
    torch.manual_seed(seed)
    probe, module = subject(seed)
    z, donor = torch.randn(2, 3, 5, dtype=torch.float64)
    sign = 1.0 if maximise else -1.0
    promise = sign * by_hand(module, z, donor, n_steps)
    expected = torch.sort(promise, descending=True, stable=True).indices[:5].tolist()
    swap = Swap("1", donor=probe.run(donor, record=["1"]))
    found = search_units(
        probe,
        z,
        swap,
        brightness,
        n_units=5,
        strategy=strategy,
        maximise=maximise,
    )
    assert list(found.units) == expected, seed
    assert "an approximation" in found.strategy
    assert ("of 8 steps" in found.strategy) == (strategy == "integrated")
    for size in range(1, 6):
        edited = probe.run(z, swap.for_units(found.units[:size])).images
        assert found.values[size - 1] == pytest.approx(float(brightness(edited).mean()), rel=1e-6)


def test_on_a_linear_way_to_the_objective_both_are_the_effects_themselves() -> None:
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(5, 8), nn.Unflatten(1, (8, 1, 1)), nn.ConvTranspose2d(8, 1, 4))
    probe = Probe(Generator.from_module(module.eval(), latent=5), dtype=torch.float64)
    z, donor = torch.randn(2, 4, 5, dtype=torch.float64)
    swap = Swap("1", donor=probe.run(donor, record=["1"]))

    def total(images: Tensor) -> Tensor:
        return images.flatten(1).sum(1)

    strategies: list[Any] = ["rank", "gradient", "integrated", "greedy"]
    orders = {
        strategy: search_units(probe, z, swap, total, n_units=8, strategy=strategy).units
        for strategy in strategies
    }
    assert len(set(orders.values())) == 1


def test_only_the_units_that_the_site_names_are_ranked() -> None:
    probe, _ = subject(0)
    z = torch.randn(2, 5, dtype=torch.float64)
    found = search_units(probe, z, Ablate("1#2,5,7"), brightness, n_units=3, strategy="integrated")
    assert sorted(found.units) == [2, 5, 7]


def test_an_objective_without_a_gradient_is_refused() -> None:
    probe, _ = subject(0)
    z = torch.randn(2, 5, dtype=torch.float64)
    with pytest.raises(ParameterError, match="no gradient, which a screen and the strategies"):
        search_units(
            probe, z, Ablate("1"), lambda i: i.detach().flatten(1).sum(1),
            n_units=3, strategy="gradient",
        )  # fmt: skip


def test_another_strategy_is_refused_with_those_that_there_are() -> None:
    probe, _ = subject(0)
    with pytest.raises(ParameterError, match="no strategy 'best'; there is: greedy, rank, gradien"):
        search_units(
            probe,
            torch.randn(1, 5),
            Ablate("1"),
            brightness,
            n_units=2,
            strategy="best",  # type: ignore[arg-type]
        )
