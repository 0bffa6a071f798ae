"""The index is checked against HDF5: it lays it out, and it reads what was written into it.

The chunks are gzip's, which every HDF5 has; the index is the same for any filter.
"""

from __future__ import annotations

import io
import itertools
import math
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ganprobe.errors import StoreError
from ganprobe.store.chunk_index import (
    ADDRESS_ATTRIBUTE,
    SUPERBLOCK_BYTES,
    UNDEFINED,
    ChunkIndex,
    IndexPages,
    Write,
    blank_index,
    create_index,
    read_entries,
    read_index,
    superblock_end,
    superblock_with_end,
)
from ganprobe.store.lookup3 import lookup3

FILL = -1.0


@dataclass
class Image:
    """A file in memory: reads and writes at an offset."""

    content: bytearray

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        assert offset >= 0, "a file has nothing before its beginning"
        assert 0 <= n_bytes <= len(self.content), "more was asked for than the file has"
        return bytes(self.content[offset : offset + n_bytes])

    def write(self, write: Write) -> None:
        offset, data = write
        self.content[offset : offset + len(data)] = data

    @property
    def end(self) -> int:
        return len(self.content)

    def index(self, index: ChunkIndex) -> ChunkIndex:
        return read_index(self.read_at, index.address, n_chunks=index.n_chunks, end=self.end)

    def entries(self, index: ChunkIndex) -> NDArray[np.void]:
        return read_entries(self.read_at, self.index(index), end=self.end)


def created(shape: tuple[int, ...], chunk: tuple[int, ...]) -> tuple[Image, ChunkIndex]:
    """A complete header with an empty index."""
    file_object = io.BytesIO()

    def read_at(offset: int, n_bytes: int) -> bytes:
        return file_object.getvalue()[offset : offset + n_bytes]

    with h5py.File(file_object, "w", libver=("v110", "v110")) as file:
        dataset = file.create_dataset(
            "x", shape, "f4", chunks=chunk, compression="gzip", fillvalue=FILL
        )
        index = create_index(dataset, read_at)
        dataset.attrs["note"] = "an attribute that is added later"
    end = superblock_end(read_at(0, SUPERBLOCK_BYTES))
    image = Image(bytearray(file_object.getvalue()))
    for write in blank_index(image.read_at, index, end=end):
        image.write(write)
    assert image.end == end
    return image, index


class Appended:
    """A file to which chunks are appended, and what it should hold."""

    def __init__(
        self, image: Image, index: ChunkIndex, shape: tuple[int, ...], chunk: tuple[int, ...]
    ) -> None:
        self.image, self.index, self.shape, self.chunk = image, index, shape, chunk
        self.grid = [-(-size // own) for size, own in zip(shape, chunk, strict=True)]
        padded = [count * own for count, own in zip(self.grid, chunk, strict=True)]
        self.padded = np.full(padded, FILL, dtype=np.float32)
        self.pages = IndexPages(image.read_at, index, end=image.end)

    @property
    def expected(self) -> NDArray[np.float32]:
        return self.padded[tuple(slice(size) for size in self.shape)]

    def append(self, chunks: range, values: NDArray[np.float32]) -> Iterator[Write]:
        """The writes for a run of chunks; what is expected changes with the writes."""
        end = superblock_end(self.image.read_at(0, SUPERBLOCK_BYTES))
        stored = [zlib.compress(value.tobytes(), 1) for value in values]
        sizes = [len(one) for one in stored]
        yield end, b"".join(stored)
        superblock = self.image.read_at(0, SUPERBLOCK_BYTES)
        yield 0, superblock_with_end(superblock, end + sum(sizes))
        addresses = [end + before for before in itertools.accumulate(sizes[:-1], initial=0)]
        for page, write in zip(
            self.index.pages(chunks),
            self.pages.update(chunks.start, addresses, sizes),
            strict=True,
        ):
            written = self.index.chunks(page)
            for number, value in zip(chunks, values, strict=True):
                if number in written:
                    self._expect(number, value)
            yield write

    def _expect(self, number: int, value: NDArray[np.float32]) -> None:
        place = np.unravel_index(number, self.grid)
        where = tuple(
            slice(int(at) * own, (int(at) + 1) * own)
            for at, own in zip(place, self.chunk, strict=True)
        )
        self.padded[where] = value


def appended_to(shape: tuple[int, ...], chunk: tuple[int, ...]) -> Appended:
    image, index = created(shape, chunk)
    return Appended(image, index, shape, chunk)


def filled(n_chunks: int, written: range) -> Appended:
    """A dataset of chunks of two values some of which are written."""
    file = appended_to((2 * n_chunks,), (2,))
    values = np.random.default_rng(0).normal(size=(len(written), 2)).astype(np.float32)
    for write in file.append(written, values):
        file.image.write(write)
    return file


@st.composite
def geometries(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape and a chunk, of 2 to 5000 chunks, the last on each axis often cut."""
    n_axes = draw(st.integers(1, 3))
    most = {1: 5000, 2: 70, 3: 17}[n_axes]
    grid = draw(st.lists(st.integers(1, most), min_size=n_axes, max_size=n_axes))
    grid[0] = max(grid[0], 2)
    chunk = draw(st.lists(st.integers(1, 3), min_size=n_axes, max_size=n_axes))
    cut = [draw(st.integers(0, own - 1)) for own in chunk]
    shape = [count * own - less for count, own, less in zip(grid, chunk, cut, strict=True)]
    return tuple(shape), tuple(chunk)


def runs(n_chunks: int, rng: np.random.Generator) -> list[range]:
    """The chunks as at most five runs, in any order."""
    inner = rng.choice(np.arange(1, n_chunks), size=min(4, n_chunks - 1), replace=False)
    bounds = [0, *sorted(int(bound) for bound in inner), n_chunks]
    found = [range(start, stop) for start, stop in itertools.pairwise(bounds)]
    return [found[place] for place in rng.permutation(len(found))]


@settings(derandomize=True, max_examples=40)
@given(geometry=geometries(), seed=st.integers(0, 2**32 - 1))
def test_after_every_write_hdf5_reads_what_is_indexed_so_far(
    geometry: tuple[tuple[int, ...], tuple[int, ...]], seed: int
) -> None:
    shape, chunk = geometry
    rng = np.random.default_rng(seed)
    file = appended_to(shape, chunk)
    assert file.index.n_chunks == math.prod(file.grid)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chunks.h5"
        path.write_bytes(file.image.content)
        _assert_reads_as_expected(path, file)
        with path.open("r+b") as real:
            for chunks in runs(file.index.n_chunks, rng):
                values = rng.normal(size=(len(chunks), *chunk)).astype(np.float32)
                for offset, data in file.append(chunks, values):
                    file.image.write((offset, data))
                    os.pwrite(real.fileno(), data, offset)
                    _assert_reads_as_expected(path, file)
    assert (file.image.entries(file.index)["address"] != UNDEFINED).all()


def _assert_reads_as_expected(path: Path, file: Appended) -> None:
    with h5py.File(path, "r") as opened:
        np.testing.assert_array_equal(opened["x"][...], file.expected)
        n_written = opened["x"].id.get_num_chunks()
    assert n_written == (file.image.entries(file.index)["address"] != UNDEFINED).sum()


@pytest.mark.parametrize("n_chunks", [2, 1023, 1024, 1025, 2048, 2049, 9 * 1024 + 1])
def test_entries_are_those_that_hdf5_finds(n_chunks: int) -> None:
    written = range(n_chunks // 3, n_chunks)
    file = filled(n_chunks, written)
    entries = file.image.entries(file.index)
    with h5py.File(io.BytesIO(bytes(file.image.content)), "r") as opened:
        dataset = opened["x"]
        assert dataset.attrs[ADDRESS_ATTRIBUTE] == file.index.address
        assert dataset.attrs[ADDRESS_ATTRIBUTE].dtype == np.int64
        assert dataset.id.get_num_chunks() == len(written)
        for number in (0, len(written) // 2, len(written) - 1):
            found = dataset.id.get_chunk_info(number)
            entry = entries[found.chunk_offset[0] // 2]
            assert entry.item() == (found.byte_offset, found.size, found.filter_mask)
    np.testing.assert_array_equal(
        np.flatnonzero(entries["address"] != UNDEFINED), np.asarray(written)
    )


def test_an_index_that_hdf5_filled_is_read_with_its_filter_masks() -> None:
    file_object = io.BytesIO()
    with h5py.File(file_object, "w", libver=("v110", "v110")) as file:
        dataset = file.create_dataset("x", (30,), "f4", chunks=(3,), compression="gzip")
        for chunk in range(10):
            dataset.id.write_direct_chunk((3 * chunk,), bytes(chunk + 1), filter_mask=chunk % 2)
        info = [dataset.id.get_chunk_info(chunk) for chunk in range(10)]
    image = Image(bytearray(file_object.getvalue()))
    address = image.content.index(b"FAHD")
    index = read_index(image.read_at, address, n_chunks=10, end=image.end)
    entries = read_entries(image.read_at, index, end=image.end)
    assert entries.tolist() == [(one.byte_offset, one.size, one.filter_mask) for one in info]
    assert entries["mask"].tolist() == [0, 1] * 5


@pytest.mark.parametrize("chunks", [range(0, 1), range(1000, 1100), range(2000, 2600)])
def test_a_range_of_entries_is_that_part_of_all(chunks: range) -> None:
    file = filled(2600, range(500, 2300))
    part = read_entries(file.image.read_at, file.index, end=file.image.end, chunks=chunks)
    np.testing.assert_array_equal(part, file.image.entries(file.index)[chunks.start : chunks.stop])


@pytest.mark.parametrize("chunks", [range(0), range(-1, 2), range(0, 11), range(0, 8, 2)])
def test_chunks_that_are_not_there_are_refused(chunks: range) -> None:
    image, index = created((10,), (1,))
    with pytest.raises(StoreError, match="the index has 10"):
        read_entries(image.read_at, index, end=image.end, chunks=chunks)


def test_a_run_beyond_the_last_chunk_is_refused_and_nothing_changes() -> None:
    image, index = created((10,), (1,))
    pages = IndexPages(image.read_at, index, end=image.end)
    with pytest.raises(StoreError, match="there are no chunks 9 to 11"):
        pages.update(9, [500, 600], [20, 20])
    [(_, page)] = pages.update(9, [500], [20])
    assert page[: -14 - 4] == image.read_at(index.offset(0), index.page_bytes(0))[: -14 - 4]


def test_a_size_that_an_entry_has_no_room_for_is_refused() -> None:
    image, index = created((10,), (1,))
    pages = IndexPages(image.read_at, index, end=image.end)
    with pytest.raises(StoreError, match=r"65,536 stored bytes .* 65,535"):
        pages.update(0, [500], [65536])


def test_pages_of_another_writer_are_read_before_they_are_changed() -> None:
    file = filled(1500, range(1000, 1200))
    again = IndexPages(file.image.read_at, file.index, end=file.image.end)
    before = file.image.entries(file.index)
    for write in again.update(1200, [before[1000]["address"]], [before[1000]["size"]]):
        file.image.write(write)
    after = file.image.entries(file.index)
    assert after[1200] == before[1000]
    np.testing.assert_array_equal(np.delete(after, 1200), np.delete(before, 1200))


def test_every_changed_byte_of_a_small_index_is_found() -> None:
    file = filled(20, range(3, 17))
    index, image = file.index, file.image
    places = [*range(index.address, index.address + 28), *range(index.block, index.end)]
    assert index.end - index.block == 14 + 20 * 14 + 4
    _assert_changes_are_found(image, index, places)


def test_changed_bytes_of_a_paged_index_are_found() -> None:
    file = filled(2500, range(100, 2400))
    index, image = file.index, file.image
    rng = np.random.default_rng(0)
    edges = [index.end - 1, index.offset(1) - 1, index.offset(1), index.offset(2)]
    inner = rng.integers(index.offset(0), index.end, 20).tolist()
    head = [*range(index.address, index.address + 28), *range(index.block, index.offset(0))]
    _assert_changes_are_found(image, index, head + edges + inner)


def _assert_changes_are_found(image: Image, index: ChunkIndex, places: list[int]) -> None:
    rng = np.random.default_rng(1)
    for place, change in zip(places, rng.integers(1, 256, len(places)).tolist(), strict=True):
        image.content[place] ^= change
        with pytest.raises(StoreError, match="record it again"):
            image.entries(index)
        image.content[place] ^= change
    image.entries(index)


def test_every_changed_byte_of_the_superblock_is_found() -> None:
    superblock = bytes(created((10,), (1,))[0].content[:SUPERBLOCK_BYTES])
    for place, bit in itertools.product(range(SUPERBLOCK_BYTES), range(8)):
        changed = bytearray(superblock)
        changed[place] ^= 1 << bit
        with pytest.raises(StoreError, match="superblock"):
            superblock_end(bytes(changed))
        with pytest.raises(StoreError, match="superblock"):
            superblock_with_end(bytes(changed), 5000)


def test_a_superblock_keeps_all_but_its_end() -> None:
    superblock = bytes(created((10,), (1,))[0].content[:SUPERBLOCK_BYTES])
    longer = superblock_with_end(superblock, 2**40)
    assert superblock_end(longer) == 2**40
    assert superblock_with_end(longer, superblock_end(superblock)) == superblock


def test_a_superblock_of_another_kind_is_refused() -> None:
    image = io.BytesIO()
    with h5py.File(image, "w", libver=("earliest", "v108")):
        pass
    with pytest.raises(StoreError, match="superblock"):
        superblock_end(image.getvalue()[:SUPERBLOCK_BYTES])
    unclosed = bytearray(created((10,), (1,))[0].content[:44])
    unclosed[11] = 1  # still open for writing
    with pytest.raises(StoreError, match="was not closed"):
        superblock_end(bytes(unclosed) + lookup3(bytes(unclosed)).to_bytes(4, "little"))
    for length in (0, 4, 47):
        with pytest.raises(StoreError, match="superblock"):
            superblock_end(image.getvalue()[:length])


@settings(derandomize=True, max_examples=300)
@given(
    place=st.sampled_from([(4, 1), (5, 1), (6, 1), (7, 1), (8, 8), (16, 8)]),
    value=st.integers(0, 2**64 - 1) | st.integers(0, 3000),
    claimed=st.none() | st.integers(-1, 2**64),
)
def test_a_header_with_a_right_checksum_and_wrong_content_is_refused(
    place: tuple[int, int], value: int, claimed: int | None
) -> None:
    file = _SMALL
    offset, n_bytes = place
    header = bytearray(file.image.read_at(file.index.address, 24))
    before = bytes(header)
    header[offset : offset + n_bytes] = (value % 256**n_bytes).to_bytes(n_bytes, "little")
    n_chunks = int.from_bytes(header[8:16], "little") if claimed is None else claimed
    image = Image(bytearray(file.image.content))
    image.write((file.index.address, bytes(header) + _checksum(header)))
    try:
        index = read_index(image.read_at, file.index.address, n_chunks=n_chunks, end=image.end)
        read_entries(image.read_at, index, end=image.end)
    except StoreError:
        return
    is_other_page_size = header[7] != before[7] and 1 << header[7] >= 20
    assert bytes(header) == before or is_other_page_size


@pytest.mark.parametrize(
    ("address", "size", "is_inside"),
    [
        (UNDEFINED, 0, True),
        (0, 1, True),
        (-10, 10, True),
        (-10, 11, False),
        (-10, 0, False),
        (0, 65535, False),
        (2**63, 10, False),
        (UNDEFINED - 1, 10, False),
    ],
)
def test_a_chunk_beyond_the_file_is_refused(address: int, size: int, is_inside: bool) -> None:
    image = Image(bytearray(_SMALL.image.content))
    where = address + image.end if address < 0 else address
    pages = IndexPages(image.read_at, _SMALL.index, end=image.end)
    for write in pages.update(18, [where], [size]):
        image.write(write)
    if is_inside:
        assert image.entries(_SMALL.index)[18].item() == (where, size, 0)
    else:
        with pytest.raises(StoreError, match="chunk 18 has"):
            image.entries(_SMALL.index)


@pytest.mark.parametrize("address", [-1, -(2**63), 0, 47, 10**6, 2**63 - 1])
def test_an_address_without_an_index_is_refused(address: int) -> None:
    image = _SMALL.image
    with pytest.raises(StoreError, match="record it again"):
        read_index(image.read_at, address, n_chunks=20, end=image.end)


def test_an_index_that_the_file_ends_in_is_refused() -> None:
    index = _SMALL.index
    for end in (index.address + 3, index.block, index.block + 20, index.end - 1):
        image = Image(_SMALL.image.content[:end])
        with pytest.raises(StoreError, match="record it again"):
            image.entries(index)
        with pytest.raises(StoreError, match="is shorter"):  # who says that it is longer
            read_entries(image.read_at, index, end=image.end + 1000)


def test_an_array_of_unfiltered_chunks_is_refused() -> None:
    image = io.BytesIO()
    with h5py.File(image, "w", libver=("v110", "v110")) as file:
        file.create_dataset("x", data=np.arange(30), chunks=(1,))
    content = image.getvalue()
    whole = Image(bytearray(content))
    with pytest.raises(StoreError, match="no fixed array of filtered chunks"):
        read_index(whole.read_at, content.index(b"FAHD"), n_chunks=30, end=whole.end)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "has no filter"),
        ({"compression": "gzip", "shape": (3,)}, "has 1 chunks"),
        ({"compression": "gzip", "maxshape": (None,)}, "chunk index of type 4"),
        ({"compression": "gzip", "maxshape": (90,)}, "it is for 30 chunks"),
        ({"compression": "gzip", "fill_time": "never"}, "is never filled"),
    ],
)
def test_a_dataset_with_another_index_is_refused(options: dict[str, Any], message: str) -> None:
    image = io.BytesIO()
    with h5py.File(image, "w", libver=("v110", "v110")) as file:
        plan = {"shape": (30,), "dtype": "f4", "chunks": (3,), **options}
        dataset = file.create_dataset("x", **plan)
        with pytest.raises(StoreError, match=message):
            create_index(dataset, lambda offset, n: image.getvalue()[offset : offset + n])


def test_a_format_with_another_layout_is_refused() -> None:
    image = io.BytesIO()
    with h5py.File(image, "w", libver=("v108", "v108")) as file:
        dataset = file.create_dataset("x", (30,), "f4", chunks=(3,), compression="gzip")
        with pytest.raises(StoreError, match="superblock"):
            create_index(dataset, lambda offset, n: image.getvalue()[offset : offset + n])


def test_a_dataset_with_a_long_header_is_found_in_it() -> None:
    image = io.BytesIO()
    plan = {"shape": (30, 5), "dtype": "f4", "chunks": (3, 2), "compression": "gzip"}
    with h5py.File(image, "w", libver=("v110", "v110"), track_order=True) as file:
        datasets = [
            file.create_dataset("x0", **plan, track_times=True),
            file.create_dataset("x1", **plan, track_order=True),
            file.create_dataset("x2", **plan),
        ]
        for dataset in datasets:
            dataset.attrs.update({f"note {n}": "words " * 20 for n in range(30)})
            dataset.dims[0].label = "sample"

        def read_at(offset: int, n_bytes: int) -> bytes:
            return image.getvalue()[offset : offset + n_bytes]

        indices = [create_index(dataset, read_at) for dataset in datasets]
    assert len({index.address for index in indices}) == 3
    end = superblock_end(read_at(0, SUPERBLOCK_BYTES))
    for index in indices:
        for offset, data in blank_index(read_at, index, end=end):
            image.seek(offset)
            image.write(data)
    with h5py.File(image, "r") as file:
        assert [dataset.id.get_num_chunks() for dataset in file.values()] == [0, 0, 0]


def test_blanking_is_refused_where_a_chunk_was_written() -> None:
    file = filled(20, range(2))
    with pytest.raises(StoreError, match="one chunk that was written"):
        blank_index(file.image.read_at, file.index, end=file.image.end)


def test_blanking_is_refused_where_the_index_moved() -> None:
    image, index = created((10,), (1,))
    with pytest.raises(StoreError, match="moved a chunk index"):
        blank_index(image.read_at, replace(index, block=index.block + 1), end=image.end)


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump is not installed")
@pytest.mark.parametrize("n_chunks", [20, 1500])
def test_the_common_tool_reads_it(tmp_path: Path, n_chunks: int) -> None:
    file = filled(n_chunks, range(3, n_chunks - 3))
    path = tmp_path / "chunks.h5"
    path.write_bytes(file.image.content)
    dumped = subprocess.run(
        ["h5dump", "-y", "-w", "1", "-m", "%.9g", "-d", "/x", str(path)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    _, _, values = dumped.partition("DATA {")
    numbers = values.partition("}")[0].replace(",", " ").split()
    np.testing.assert_array_equal(np.array(numbers, dtype=np.float32), file.expected)


def _checksum(data: bytes | bytearray) -> bytes:
    return lookup3(bytes(data)).to_bytes(4, "little")


_SMALL = filled(20, range(3, 17))
