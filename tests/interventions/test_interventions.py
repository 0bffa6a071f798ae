from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from by_hand import KINDS, Place
from ganprobe import (
    Ablate,
    Apply,
    ForwardError,
    Intervention,
    Latents,
    LatentSpace,
    ParameterError,
    Patch,
    Recording,
    Scale,
    Shift,
    Site,
    Swap,
    UsageError,
)

ANYTHING: Callable[[Any], Any] = cast(Any, lambda value: value)  # what a caller may try to give

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
    with pytest.raises(ParameterError, match="a level is a number, or one for each unit, got"):
        Ablate("conv#0", to=["x"])  # type: ignore[list-item]


def test_without_units_all_are_ablated() -> None:
    assert Ablate("conv").apply(torch.randn(2, 6, 3, 3)).abs().sum() == 0.0


@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_a_strength_outside_0_and_1_is_refused(strength: float) -> None:
    with pytest.raises(ParameterError, match=f"between 0 and 1, got {strength}"):
        Ablate("conv#1", strength=strength)


def test_interventions_are_values() -> None:
    assert Ablate("conv#1,2") == Ablate("conv#1-2", to=0.0)
    assert len({Ablate("conv#1"), Ablate("conv#1"), Ablate("conv#2")}) == 2
    assert repr(Ablate("conv#1-3")) == "Ablate('conv#1-3')"
    with pytest.raises(AttributeError, match="an intervention is a value"):
        Ablate("conv#1").strength = 0.5


def random_cases(seed: int) -> list[Intervention]:
    """One of each kind with random values, units, region and strength."""
    torch.manual_seed(seed)
    shape, units = torch.Size((2, 6, 4, 4)), torch.randperm(6)[:3].tolist()
    more = {"strength": float(torch.rand(())), "region": torch.rand(4, 4)}
    makes = [make for name, make in KINDS.items() if name != "apply"]
    places = [Place(Site("conv"), shape, 1, units, held) for held in ({}, more)]
    cases = [make(place) for make in makes for place in places]
    drawn = LatentSpace((5,)).sample(range(3, 5), seed=7)
    others = [Swap("conv@1#2", donor=drawn), Swap("conv:in", donor=Latents(torch.randn(2, 5)))]
    return [*(case.intervention for case in cases), *others]


@pytest.mark.parametrize("seed", range(3))
def test_every_kind_comes_back_from_json_as_it_was(seed: int) -> None:
    for edit in random_cases(seed):
        written = json.dumps(edit.to_json(), allow_nan=False)
        again = Intervention.from_json(written)
        assert again == edit
        assert hash(again) == hash(edit)
        assert repr(again) == repr(edit)


def test_interventions_differ_where_anything_of_them_does() -> None:
    edits = random_cases(0)
    for position, edit in enumerate(edits):
        assert [other == edit for other in edits].index(True) == position
    values = torch.zeros(2, 3, 4, 4)
    assert Patch("a", values=values) != Patch("a", values=values.double())
    assert Ablate("a") != Scale("a", by=0.0)


def test_a_function_cannot_be_written() -> None:
    with pytest.raises(UsageError, match=r"Apply\('a', function=tanh\) holds a function"):
        Apply("a", function=torch.tanh).to_json()
    assert Apply("a", function=torch.tanh) == Apply("a", function=torch.tanh)
    assert Apply("a", function=torch.tanh) != Apply("a", function=torch.sin)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('{"kind": "Ablat", "site": "a"}', "no kind of intervention 'Ablat'; nearest: Ablate"),
        ('{"kind": "Scale", "site": "a"}', "this is no Scale: .*missing .*'by'"),
        ('{"kind": "Ablate", "site": "a", "two": 2}', "this is no Ablate: .*'two'"),
        ('{"kind": "Patch", "site": "a", "values": {"tensor": "AA"}}', "no value of an interv"),
        ("[1]", "this is no intervention written as JSON"),
        ("{", "this is no intervention written as JSON"),
    ],
)
def test_json_that_is_no_intervention_says_why(written: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Intervention.from_json(written)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ablate("a#1", units=[2]), "a#1 names units already"),
        (lambda: Ablate("a", units=[2, 2]), "2 is named twice"),
        (lambda: Ablate("a", units=[-1]), "count from 0, got -1"),
        (lambda: Ablate("a", to=math.nan), "a level is finite"),
        (lambda: Ablate("a", to="median"), "a number, 'mean' or a recording, got 'median'"),
        (lambda: Ablate("a", strength=math.nan), "a strength is finite"),
        (lambda: Ablate("a", region=[[0.0, 2.0]]), "between 0 and 1, got values from 0 to 2"),
        (lambda: Ablate("a", region=torch.ones(0, 3)), "at least one axis and one cell"),
        (lambda: Ablate("a", region="left"), "a region is a tensor of numbers, got 'left'"),
        (lambda: Shift("a", direction=[1.0], amount=torch.ones(2)), "an amount is one number"),
        (lambda: Swap("a", donor=ANYTHING(torch.zeros(2, 3))), "could be latents or activ"),
        (lambda: Swap("a", donor=ANYTHING("b")), "a donor is Latents, a run, a recording, or"),
        (lambda: Swap("a", donor=[0, -1]), "count from 0, got"),
        (lambda: Apply("a", function=ANYTHING(3)), "can be called, got 3"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_made(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        make()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Ablate("a#0,1", to=[1.0]), "1 levels were given for 2 units of a#0,1"),
        (Scale("a", by=[1.0] * 5), "5 factors were given for 6 units"),
        (Ablate("a", strength=[0.5] * 5), "5 strengths were given for 6 units"),
        (Shift("a#0", direction=[1.0, 2.0]), "2 numbers of a direction were given for 1 units"),
        (Patch("a", values=torch.zeros(6, 4, 5)), r"are \(6, 4, 4\), or \(n, 6, 4, 4\)"),
        (Patch("a", values=torch.zeros(1, 6, 4, 4)), "do not fit .* for each sample, or one wi"),
        (Patch("a#1", values=torch.zeros(2, 1, 4, 4)), "do not fit the chosen units"),
        (Swap("a", donor=[0, 1]), "do not fit the 3 samples at a; give one for each, from 0 to 2"),
        (Swap("a", donor=[0, 1, 3]), "do not fit the 3 samples"),
        (Swap("a", donor=Recording({"b": torch.zeros(3, 6, 4, 4)})), "a was not recorded; rec"),
        (Swap("a", donor=Latents(torch.zeros(3, 5))), "holds latents that were not run yet"),
        (Ablate("a", region=torch.ones(4)), "has 2 axes, as its .* got"),
        (Ablate("a", region=torch.ones(2, 4, 4)), "2 regions were given for 3 samples at a"),
        (Apply("a", function=lambda x: x[:1]), r"returns a tensor \(3, 6, 4, 4\), as it is given"),
        (Apply("a", function=ANYTHING(lambda x: None)), "got None"),
        (Ablate("a#6"), "no unit 6 at a: it has 6"),
    ],
)
def test_what_does_not_fit_an_activation_is_refused(edit: Intervention, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        edit.apply(torch.zeros(3, 6, 4, 4))


def test_a_function_that_raises_is_named() -> None:
    def broken(x: torch.Tensor) -> torch.Tensor:
        raise KeyError("mine")

    with pytest.raises(ForwardError, match=r"Apply\('a', function=broken\) raised: 'mine'"):
        Apply("a", function=broken).apply(torch.zeros(3, 6))


def test_a_function_that_writes_into_what_it_is_given_changes_nothing_else() -> None:
    activation = torch.randn(3, 6, 4, 4)
    before = activation.clone()
    edited = Apply("a#0-2", function=lambda x: x.mul_(2.0), strength=0.5).apply(activation)
    assert torch.equal(activation, before)
    assert torch.allclose(edited[:, :3], 1.5 * before[:, :3])


@pytest.mark.parametrize("site", ["a", "a#0-5", "a#4,1"])
def test_the_outcome_has_memory_of_its_own(site: str) -> None:
    values = torch.randn(3, 6, 4, 4)
    edits = [Patch(site, values=values), Swap(site, donor=Recording({"a": values})), Ablate(site)]
    for edit in edits:
        prepared, before = edit.apply(torch.zeros(3, 6, 4, 4)), values.clone()
        prepared.fill_(7.0)
        assert torch.equal(values, before)
        assert not (edit.apply(torch.zeros(3, 6, 4, 4)) == 7.0).any()


def test_a_region_of_booleans_is_exact_even_beside_infinity() -> None:
    activation = torch.full((2, 3, 4, 4), torch.inf)
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:, 4:] = True
    edited = Ablate("a", region=mask).apply(activation)
    assert (edited[..., 2:] == 0.0).all()
    assert torch.equal(edited[..., :2], activation[..., :2])


def test_a_cell_of_the_site_takes_the_mean_of_the_mask_over_its_area() -> None:
    mask = torch.zeros(4, 4)
    mask[0, 0], mask[2:, 2:] = 1.0, 0.5
    edited = Ablate("a", region=mask).apply(torch.ones(1, 1, 2, 2))
    assert edited[0, 0].tolist() == [[0.75, 1.0], [1.0, 0.5]]


def test_each_sample_can_have_a_region_of_its_own() -> None:
    masks = torch.tensor([[[1, 0]], [[0, 1]]], dtype=torch.bool)
    edited = Ablate("a", region=masks).apply(torch.ones(2, 1, 1, 2))
    assert edited[:, 0, 0].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    tokens = Ablate("a#1", region=[1, 0, 1]).apply(torch.ones(1, 3, 2))
    assert tokens[0].tolist() == [[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]]


def test_two_strengths_leave_the_product_of_what_each_leaves() -> None:
    first, second = Ablate("a", to=2.0, strength=0.25), Ablate("a", to=5.0, strength=0.5)
    x = torch.randn(3, 4, dtype=torch.float64)
    expected = (1 - 0.25) * (1 - 0.5) * x + 0.25 * (1 - 0.5) * 2.0 + 0.5 * 5.0
    assert torch.allclose(second.apply(first.apply(x)), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("seed", range(2))
def test_the_sites_dtype_stays_whatever_the_values_are(dtype: torch.dtype, seed: int) -> None:
    activation = torch.randn(2, 6, 4, 4).to(dtype)
    for edit in random_cases(seed):
        if not (isinstance(edit, Swap) and isinstance(edit.donor, Latents)):
            assert edit.apply(activation).dtype == dtype
    assert Apply("conv", function=torch.Tensor.double).apply(activation).dtype == dtype


def test_channels_last_memory_stays_so() -> None:
    activation = torch.randn(2, 6, 4, 4).to(memory_format=torch.channels_last)
    for edit in (Ablate("a#1,4"), Ablate("a#0-2"), Scale("a", by=2.0), Scale("a#1", by=2.0)):
        assert edit.apply(activation).is_contiguous(memory_format=torch.channels_last)
