from __future__ import annotations

import pytest

from ganprobe.params.limits import Limits


@pytest.mark.parametrize(
    ("limits", "short", "spoken"),
    [
        (Limits(), "", ""),
        (Limits(ge=2, le=100), "2 to 100", " from 2 to 100"),
        (Limits(ge=2), "2 or more", " of 2 or more"),
        (Limits(le=5), "at most 5", " at most 5"),
        (Limits(gt=0), "above 0", " above 0"),
        (Limits(gt=0.0, lt=1.0), "above 0, below 1", " above 0 and below 1"),
        (Limits(ge=0.0, lt=1.0), "0 or more, below 1", " of 0 or more and below 1"),
        (Limits(ge=1, le=10**6), "1 to 1000000", " from 1 to 1000000"),
        (Limits(ge=1e-7), "1e-07 or more", " of 1e-07 or more"),
        (Limits(multiple_of=8), "a multiple of 8", " that is a multiple of 8"),
        (Limits(min_length=1), "", " that is not empty"),
        (Limits(min_length=2, max_length=5), "", " of 2 to 5 characters"),
        (Limits(pattern="a+"), "", " of the form a+"),
        (Limits(ge=3, is_said=True), "3 or more", ""),
    ],
)
def test_limits_are_told_in_words(limits: Limits, short: str, spoken: str) -> None:
    assert (limits.short(), limits.spoken()) == (short, spoken)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(min_length=1), "at least 1"),
        (Limits(max_length=3), "at most 3"),
        (Limits(min_length=2, max_length=6), "2 to 6"),
    ],
)
def test_how_many_there_may_be_is_told(limits: Limits, words: str) -> None:
    assert limits.counted() == words
