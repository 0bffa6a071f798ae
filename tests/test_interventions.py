from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganprobe import Ablate, ParameterError

shapes = st.sampled_from([(3, 7), (3, 7, 4, 5), (3, 6, 7), (2, 7, 2, 3, 4)])


@given(
    shapes,
    st.lists(st.integers(0, 6), min_size=1, unique=True),
    st.floats(0, 1),
    st.floats(-3, 3),
    st.integers(0, 2**31),
)
def test_ablating_equals_editing_by_hand(
    shape: tuple[int, ...], units: list[int], strength: float, level: float, seed: int
) -> None:
    activation = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()
    expected = activation.clone()
    axis = -1 if len(shape) == 3 else 1
    for unit in units:
        before = expected.select(axis, unit)
        before.copy_((1 - strength) * before + strength * level)
    named = f"conv#{','.join(map(str, units))}"
    untouched = activation.clone()
    edited = Ablate(named, to=level, strength=strength).apply(activation)
    assert torch.allclose(edited, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(activation, untouched)


def test_each_unit_can_have_its_own_level() -> None:
    edited = Ablate("conv#4,1", to=(40.0, 10.0)).apply(torch.zeros(2, 6, 3, 3))
    assert edited[:, 4].unique().item() == 40.0
    assert edited[:, 1].unique().item() == 10.0
    assert edited[:, [0, 2, 3, 5]].abs().sum() == 0.0


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_levels_may_be_any_sequence(kind: Callable[[list[float]], Any]) -> None:
    edited = Ablate("conv#0-2", to=kind([1.0, 2.0, 3.0])).apply(torch.zeros(2, 3, 3, 3))
    assert torch.equal(edited[:, :, 0, 0], torch.tensor([[1.0, 2.0, 3.0]] * 2))


def test_levels_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ParameterError, match="a level is a number, or one for each unit, got 'x'"):
        Ablate("conv#0", to="x")  # type: ignore[arg-type]


def test_without_units_all_are_ablated() -> None:
    assert Ablate("conv").apply(torch.randn(2, 6, 3, 3)).abs().sum() == 0.0


@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_a_strength_outside_0_and_1_is_refused(strength: float) -> None:
    with pytest.raises(ParameterError, match=f"between 0 and 1, got {strength}"):
        Ablate("conv#1", strength=strength)


def test_interventions_are_values() -> None:
    assert Ablate("conv#1,2") == Ablate("conv#1-2", to=0.0)
    assert len({Ablate("conv#1"), Ablate("conv#1"), Ablate("conv#2")}) == 2
    assert repr(Ablate("conv#1-3")) == "Ablate('conv#1-3', to=0.0, strength=1.0)"
