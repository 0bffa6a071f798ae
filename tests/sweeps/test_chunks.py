"""Chunks: doubled while that pays, halved where memory runs out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from ganprobe.errors import ForwardError, is_out_of_memory
from ganprobe.sweeps.chunks import Chunks


def tuned(seconds: Callable[[int], float], most: int = 1000) -> list[int]:
    """The sizes that are tried on a machine on which a variant in a chunk takes so long."""
    chunks, sizes = Chunks(fixed=None, most=most), list[int]()
    for _ in range(40):
        sizes.append(chunks.size)
        chunks.note(chunks.size, seconds(chunks.size) * chunks.size)
    return list(dict.fromkeys(sizes)) + sizes[-1:]


def test_the_best_size_is_found_on_either_side() -> None:
    assert tuned(lambda size: abs(size - 64) + 100.0) == [16, 32, 64, 128, 64]
    assert tuned(lambda size: 1.0 + size) == [16, 32, 8, 4, 2, 1, 1]
    assert tuned(lambda size: abs(size - 8) + 10.0) == [16, 32, 8, 4, 8]
    assert tuned(lambda size: 1.0) == [16, 32, 16]


def test_no_chunk_is_larger_than_memory_allows() -> None:
    assert max(tuned(lambda size: 1.0 / size, most=50)) == 32
    assert Chunks(fixed=None, most=5).size == 5
    assert Chunks(fixed=64, most=40).size == 40
    assert Chunks(fixed=None, most=0).size == 1


def test_a_size_that_was_asked_for_stays() -> None:
    chunks = Chunks(fixed=24, most=100)
    for _ in range(5):
        chunks.note(24, 1.0)
    assert chunks.size == 24


def test_chunks_are_halved_down_to_one() -> None:
    chunks = Chunks(fixed=None, most=100)
    sizes = []
    while chunks.halve():
        sizes.append(chunks.size)
    assert sizes == [8, 4, 2, 1]
    chunks.note(1, 1e-9)
    chunks.note(1, 1e-9)
    assert chunks.size == 1


def test_a_chunk_that_is_not_full_tells_nothing() -> None:
    chunks = Chunks(fixed=None, most=100)
    for _ in range(5):
        chunks.note(3, 1e-9)
    assert chunks.size == 16


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_what_says_that_memory_ran_out_is_known(error: Exception) -> None:
    assert is_out_of_memory(error)
    with pytest.raises(ForwardError) as raised:
        raise ForwardError("the generator raised") from error
    assert is_out_of_memory(raised.value)
    assert not is_out_of_memory(ForwardError("something else"))
