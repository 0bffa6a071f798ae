"""Chunks: doubled while that pays, halved where memory runs out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from ganprobe.errors import ForwardError, is_out_of_memory
from ganprobe.sweeps.chunks import Chunks


def tuned(seconds: Callable[[int], float], most: int = 1000, first: int = 16) -> set[int]:
    """The sizes that are tried on a machine on which a variant in a chunk takes so long."""
    chunks, sizes = Chunks(fixed=None, most=most, first=first), list[int]()
    for _ in range(60):
        size = chunks.next(10_000)
        sizes.append(size)
        chunks.note(size, seconds(size) * size)
    assert len(set(sizes[-20:])) == 1
    assert sizes[-1] == chunks.size == min(sizes, key=seconds)
    return set(sizes)


def test_the_best_size_is_found_on_either_side() -> None:
    assert tuned(lambda size: abs(size - 32) + 100.0) == {8, 16, 32, 64}
    assert tuned(lambda size: abs(size - 100) + 100.0) == {8, 16, 32, 64, 128, 256}
    assert tuned(lambda size: 1.0 + size) == {1, 2, 4, 8, 16, 32, 64}
    assert tuned(lambda size: 1.0 / size, first=2) == {2**power for power in range(10)}


def test_a_machine_that_is_busy_for_a_while_does_not_mislead() -> None:
    chunks = Chunks(fixed=None, most=1000)
    for step in range(60):
        size = chunks.next(10_000)
        chunks.note(size, (abs(size - 32) + 100.0) * size * (5.0 if step < 6 else 1.0))
    assert chunks.size == 32


def test_no_chunk_is_larger_than_memory_or_what_is_left() -> None:
    assert max(tuned(lambda size: 1.0 / size, most=50)) == 50
    assert Chunks(fixed=None, most=5).next(100) == 5
    assert Chunks(fixed=64, most=40).next(100) == 40
    assert Chunks(fixed=None, most=0).next(100) == 1
    assert Chunks(fixed=None, most=100).next(3) == 3


def test_a_size_that_was_asked_for_stays() -> None:
    chunks = Chunks(fixed=24, most=100)
    for _ in range(5):
        chunks.note(24, 1.0)
    assert chunks.next(100) == chunks.size == 24


def test_chunks_are_halved_down_to_one() -> None:
    chunks = Chunks(fixed=None, most=100)
    sizes = [chunks.next(100)]
    while chunks.halve(sizes[-1]):
        sizes.append(chunks.next(100))
    assert sizes == [64, 32, 16, 8, 4, 2, 1]
    for _ in range(9):
        chunks.note(1, 1e-9)
    assert chunks.next(100) == 1


def test_what_is_left_is_filled_up_to_few_sizes() -> None:
    chunks = Chunks(fixed=128, most=130)
    sizes = {chunks.padded(n) for n in range(1, 129)}
    assert sizes == {16 * step for step in range(1, 9)}
    assert all(chunks.padded(n) >= n for n in range(1, 131))
    assert chunks.padded(130) == 130
    assert [Chunks(fixed=4, most=4).padded(n) for n in (1, 2, 3, 4)] == [1, 2, 3, 4]


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
