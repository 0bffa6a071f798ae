from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganprobe import ParameterError
from ganprobe.indices import check_indices, format_indices, parse_indices


@given(st.lists(st.integers(0, 500), min_size=1, unique=True))
def test_what_is_formatted_reads_back(indices: list[int]) -> None:
    assert parse_indices(format_indices(indices)) == tuple(indices)


@pytest.mark.parametrize("text", ["", "a", "1,,2", "1-", "-3", "1.5", "1;2"])
def test_text_that_is_no_index_list_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ParameterError, match="3,7,10-20"):
        parse_indices(text)


def test_a_range_that_runs_down_is_refused_with_the_way_out() -> None:
    with pytest.raises(ParameterError, match="write 3-7"):
        parse_indices("7-3")


def test_an_index_named_twice_is_refused() -> None:
    with pytest.raises(ParameterError, match="4 is named twice"):
        parse_indices("2-5,4")


def test_indices_outside_name_the_valid_ones() -> None:
    with pytest.raises(ParameterError, match="no units 8,9 at conv2: it has 8, numbered 0-7"):
        check_indices([7, 8, 9], 8, "unit", "conv2")
