from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from ganprobe.nested import pick, place, tensors_in

Pair = namedtuple("Pair", ["first", "second"])


@dataclass
class Output:
    sample: Tensor
    others: tuple[Any, ...]


def nested() -> Output:
    inner = Pair(torch.ones(1), OrderedDict(a=torch.ones(2), b=[torch.ones(3), "text"]))
    return Output(torch.zeros(4), (torch.zeros(5), inner))


def test_every_tensor_is_found_with_its_path() -> None:
    found = {path: len(tensor) for path, tensor in tensors_in(nested())}
    assert found == {
        ("sample",): 4,
        ("others", 0): 5,
        ("others", 1, 0): 1,
        ("others", 1, 1, "a"): 2,
        ("others", 1, 1, "b", 0): 3,
    }


def test_placing_changes_one_tensor_in_a_copy_of_the_same_types() -> None:
    original = nested()
    for path, _ in tensors_in(original):
        changed = place(original, path, new := torch.full((1,), 7.0))
        assert type(changed) is Output
        assert type(changed.others[1]) is Pair
        assert type(changed.others[1].second) is OrderedDict
        for other, tensor in tensors_in(changed):
            expected = new if other == path else pick(original, other)
            assert tensor is expected


def test_a_missing_key_names_those_there_are() -> None:
    with pytest.raises(LookupError, match=r"nothing at \[mean\]; there is: sample, others"):
        pick(nested(), ("mean",))
