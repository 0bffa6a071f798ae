from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ganprobe.errors import StoreError, UnknownNameError
from ganprobe.store import compression
from ganprobe.store.chunk_index import (
    SUPERBLOCK_BYTES,
    IndexPages,
    blank_index,
    create_index,
    superblock_end,
    superblock_with_end,
)
from ganprobe.store.compression import CODECS, Codec, codec

pytest.importorskip("zstandard")
pytest.importorskip("lz4.block")

both = pytest.mark.parametrize("name", sorted(CODECS))


def rectified(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Values as a ReLU leaves them: half of them zero."""
    return np.random.default_rng(seed).normal(size=n).clip(min=0).astype(np.float32)


@both
@settings(derandomize=True, max_examples=40)
@given(chunk=st.binary(min_size=1, max_size=300), repeats=st.integers(1, 50))
def test_what_comes_out_is_what_went_in(name: str, chunk: bytes, repeats: int) -> None:
    values = chunk * repeats
    stored = codec(name).compress(values)
    assert codec(name).decompress(stored, len(values)) == values
    assert codec(name).decompress(memoryview(stored), len(values)) == values


@both
def test_arrays_are_compressed_as_their_bytes(name: str) -> None:
    for dtype in (np.float16, np.float32, np.int64):
        values = rectified(24).reshape(2, 3, 4).astype(dtype)
        stored = codec(name).compress(values)
        assert codec(name).decompress(stored, values.nbytes) == values.tobytes()


@both
def test_zeros_shrink_and_noise_hardly_grows(name: str) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, 100_000, dtype=np.uint8)
    assert len(codec(name).compress(bytes(100_000))) < 1000
    assert len(codec(name).compress(noise)) < 100_100


def test_an_lz4_block_that_stays_as_long_is_stored_as_it_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, 600, dtype=np.uint8).tobytes()
    lz4 = pytest.importorskip("lz4.block")
    chunks = [noise[:length] + bytes(9) + noise[-20:] for length in range(1, 580)]
    as_long = [one for one in chunks if len(lz4.compress(one, store_size=False)) == len(one)]
    assert as_long
    for chunk in as_long:
        stored = codec("lz4").compress(chunk)
        assert stored.endswith(chunk)
        assert codec("lz4").decompress(stored, len(chunk)) == chunk


@both
def test_many_threads_compress_and_decompress_at_once(name: str) -> None:
    chunks = [rectified(5000, seed) for seed in range(40)]
    with ThreadPoolExecutor(4) as pool:
        stored = list(pool.map(codec(name).compress, chunks))
        back = list(pool.map(codec(name).decompress, stored, [chunk.nbytes for chunk in chunks]))
    assert back == [chunk.tobytes() for chunk in chunks]


@both
@pytest.mark.parametrize("n_bytes", [0, 1, 3999, 4001, 2**62])
def test_another_size_than_the_chunk_has_is_refused(name: str, n_bytes: int) -> None:
    stored = codec(name).compress(rectified(1000))
    with pytest.raises(StoreError, match=f"no {name} data"):
        codec(name).decompress(stored, n_bytes)


@both
def test_a_cut_or_a_longer_chunk_is_refused(name: str) -> None:
    stored = codec(name).compress(rectified(1000))
    for length in (*range(30), len(stored) - 1):
        with pytest.raises(StoreError, match=f"no {name} data"):
            codec(name).decompress(stored[:length], 4000)
    with pytest.raises(StoreError, match=f"no {name} data"):
        codec(name).decompress(stored + b"\0", 4000)


@both
@settings(derandomize=True, max_examples=150)
@given(place=st.integers(0, 2**32), change=st.integers(1, 255))
def test_a_damaged_chunk_is_refused_or_has_the_right_size(
    name: str, place: int, change: int
) -> None:
    values = rectified(500)
    stored = bytearray(codec(name).compress(values))
    stored[place % len(stored)] ^= change
    try:
        found = codec(name).decompress(stored, values.nbytes)
    except StoreError:
        return
    assert len(found) == values.nbytes
    assert name != "zstd" or found == values.tobytes()  # zstd has a checksum


@both
@settings(derandomize=True, max_examples=100)
@given(stored=st.binary(max_size=60), n_bytes=st.integers(0, 1000))
def test_what_is_no_compressed_chunk_is_refused_or_has_the_right_size(
    name: str, stored: bytes, n_bytes: int
) -> None:
    header = struct.pack(">QI", n_bytes, max(n_bytes // 3, 1))
    for anything in (stored, header + stored):
        with suppress(StoreError):
            assert len(codec(name).decompress(anything, n_bytes)) == n_bytes


def test_sizes_in_a_damaged_chunk_take_no_memory() -> None:
    huge = struct.pack(">QII", 2**62, 2**32 - 1, 2**32 - 1)
    with pytest.raises(StoreError, match="holds 4,611,686,018,427,387,904 bytes, not 4,000"):
        codec("lz4").decompress(huge, 4000)
    block = struct.pack(">QII", 4000, 2**32 - 1, 2**32 - 1)
    with pytest.raises(StoreError, match="a block of 4,294,967,295 bytes is not there"):
        codec("lz4").decompress(block, 4000)
    frame = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**62) + b"\x01\x00\x00"
    with pytest.raises(StoreError, match="holds 4,611,686,018,427,387,904 bytes, not 4,000"):
        codec("zstd").decompress(frame, 4000)


def test_lz4_of_many_blocks_is_what_hdf5_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    monkeypatch.setattr(compression, "_LZ4_BLOCK", 1000)
    noise = np.random.default_rng(0).integers(0, 2**32, 200, dtype=np.uint32).view(np.float32)
    values = np.concatenate([rectified(800), noise, np.zeros(77, np.float32)])
    stored = codec("lz4").compress(values)
    by_plugin = stored_by_plugin(values, hdf5plugin.LZ4(nbytes=1000))
    assert codec("lz4").decompress(by_plugin, values.nbytes) == values.tobytes()
    assert codec("lz4").decompress(stored, values.nbytes) == values.tobytes()
    assert stored[:12] == by_plugin[:12]
    assert read_by_plugin(values, codec("lz4"), stored).tobytes() == values.tobytes()


@both
def test_what_hdf5_compresses_is_read(name: str) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    options = {"zstd": hdf5plugin.Zstd(clevel=1), "lz4": hdf5plugin.LZ4()}[name]
    for values in (rectified(30_000), np.arange(2, dtype=np.float32)):
        stored = stored_by_plugin(values, options)
        assert codec(name).decompress(stored, values.nbytes) == values.tobytes()


@both
def test_hdf5_reads_what_was_compressed(name: str) -> None:
    pytest.importorskip("hdf5plugin")
    noise = np.random.default_rng(0).integers(0, 2**30, 3000, dtype=np.uint32).view(np.float32)
    for values in (rectified(30_000), noise, np.zeros(1, np.float32)):
        found = read_by_plugin(values, codec(name), codec(name).compress(values))
        assert found.tobytes() == values.tobytes()


def stored_by_plugin(values: NDArray[np.float32], options: Any) -> bytes:
    with h5py.File(io.BytesIO(), "w") as file:
        dataset = file.create_dataset("x", data=values, chunks=values.shape, **options)
        stored: bytes = dataset.id.read_direct_chunk((0,))[1]
    return stored


def read_by_plugin(values: NDArray[np.float32], of: Codec, stored: bytes) -> NDArray[np.float32]:
    file_object = io.BytesIO()
    with h5py.File(file_object, "w") as file:
        dataset = file.create_dataset(
            "x", values.shape, "f4", chunks=values.shape, **of.dataset_options
        )
        dataset.id.write_direct_chunk((0,), stored)
    with h5py.File(file_object, "r") as file:
        found: NDArray[np.float32] = file["x"][...]
    return found


@both
def test_an_own_index_of_compressed_chunks_reads_in_other_programs(
    name: str, tmp_path: Path
) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    path = tmp_path / "chunks.h5"
    values = rectified(1500 * 40).reshape(1500, 40)
    write_store_of(path, values, codec(name))
    with h5py.File(path, "r") as file:
        np.testing.assert_array_equal(file["x"][...], values)
    with xarray.open_dataset(path, engine="h5netcdf") as opened:
        assert opened["x"].dims == ("sample", "unit")
        np.testing.assert_array_equal(opened["x"].values, values)
    if shutil.which("h5dump"):
        _assert_h5dump_agrees(path, values, hdf5plugin.PLUGIN_PATH)


def write_store_of(path: Path, values: NDArray[np.float32], of: Codec) -> None:
    """One dataset of a chunk for each row, with its scales, none of it written by HDF5."""
    file_object = io.BytesIO()

    def read_at(offset: int, n_bytes: int) -> bytes:
        return file_object.getvalue()[offset : offset + n_bytes]

    with h5py.File(file_object, "w", libver=("v110", "v110")) as file:
        dataset = file.create_dataset(
            "x", values.shape, "f4", chunks=(1, values.shape[1]), **of.dataset_options
        )
        for axis, name in enumerate(("sample", "unit")):
            file[name] = np.arange(values.shape[axis])
            file[name].make_scale(name)
            dataset.dims[axis].attach_scale(file[name])
        index = create_index(dataset, read_at)
    end = superblock_end(read_at(0, SUPERBLOCK_BYTES))
    with path.open("w+b") as real:
        os.pwrite(real.fileno(), file_object.getvalue(), 0)
        for offset, data in blank_index(read_at, index, end=end):
            os.pwrite(real.fileno(), data, offset)
        chunks = [of.compress(row) for row in values]
        addresses = end + np.cumsum([0, *map(len, chunks)])
        os.pwrite(real.fileno(), b"".join(chunks), end)
        superblock = superblock_with_end(read_at(0, SUPERBLOCK_BYTES), int(addresses[-1]))
        os.pwrite(real.fileno(), superblock, 0)
        pages = IndexPages(lambda at, n: os.pread(real.fileno(), n, at), index, end=end)
        for offset, data in pages.update(0, addresses[:-1], [len(chunk) for chunk in chunks]):
            os.pwrite(real.fileno(), data, offset)


def _assert_h5dump_agrees(path: Path, values: NDArray[np.float32], plugins: str) -> None:
    dumped = subprocess.run(
        ["h5dump", "-y", "-w", "1", "-m", "%.9g", "-d", "/x", "-c", "9,40", str(path)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "HDF5_PLUGIN_PATH": plugins},
    ).stdout
    numbers = dumped.partition("DATA {")[2].partition("}")[0].replace(",", " ").split()
    found = np.array(numbers, dtype=np.float32).reshape(9, 40)
    np.testing.assert_array_equal(found, values[:9])


def test_an_unknown_compression_names_those_that_there_are() -> None:
    with pytest.raises(UnknownNameError, match="no compression 'zst'; nearest: zstd"):
        codec("zst")


@both
def test_a_missing_package_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> Any:
        raise ModuleNotFoundError(module)

    monkeypatch.setattr(compression, "import_module", missing)
    package = {"zstd": "zstandard", "lz4": "lz4"}[name]
    with pytest.raises(StoreError, match=f"pip install {package}"):
        codec(name)
