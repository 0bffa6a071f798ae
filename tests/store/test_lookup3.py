from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganprobe.store.lookup3 import lookup3, lookup3_rows


@pytest.mark.parametrize(
    ("data", "checksum"),
    [(b"", 0xDEADBEEF), (b"Four score and seven years ago", 0x17770551)],
)
def test_the_checksums_are_those_of_its_author(data: bytes, checksum: int) -> None:
    assert lookup3(data) == checksum


def test_the_checksums_are_those_that_hdf5_stores() -> None:
    image = io.BytesIO()
    with h5py.File(image, "w", libver=("v110", "v110")) as file:
        file.create_dataset("x", data=np.arange(3000), chunks=(1,), compression="gzip")
    stored = image.getvalue()
    header = stored.index(b"FAHD")
    block = int.from_bytes(stored[header + 16 : header + 24], "little")
    page = block + 14 + 1 + 4
    entry_bytes = stored[header + 6]
    starts = {0: 44, header: 24, block: 15, page: 1024 * entry_bytes}
    for start, length in starts.items():
        checksum = int.from_bytes(stored[start + length : start + length + 4], "little")
        assert lookup3(stored[start : start + length]) == checksum


@settings(derandomize=True, max_examples=60)
@given(n=st.integers(0, 40), n_bytes=st.integers(0, 60), seed=st.integers(0, 2**32 - 1))
def test_rows_have_the_checksums_that_each_has_alone(n: int, n_bytes: int, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 256, (n, n_bytes), dtype=np.uint8)
    assert lookup3_rows(rows).tolist() == [lookup3(row.tobytes()) for row in rows]


def test_sums_that_overflow_agree_too() -> None:
    rows = np.full((20, 100), 255, dtype=np.uint8)
    assert lookup3_rows(rows).tolist() == [lookup3(b"\xff" * 100)] * 20
