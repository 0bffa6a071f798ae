"""The index of a compressed dataset's chunks in an HDF5 file, read and written without HDF5.

HDF5 finds the chunks of a filtered dataset of fixed shape in a Fixed Array: a header, then one
data block with an entry (address, stored size, filter mask) for each chunk, in row-major order.
With more than 1024 chunks the block is divided into pages of 1024 entries with a checksum each.

HDF5 lays the array out once, in a file that it never sees again (`create_index`, `blank_index`);
from then on chunks are appended at the file's end, and entries replaced a page at a time
(`IndexPages`), a page of 1024 chunks being 15 to 17 KB and its checksum 1.3 to 1.9 ms of Python.
The order that keeps a file readable: chunks, then the superblock (`superblock_with_end`), then
pages. A page that is being replaced has for a moment no valid checksum: who reads beside the
writer, and meets one, reads again. A system that kills the writer may stop a write wherever 4096
bytes of the file end, and so in the middle of a page, which then stays without: who must not lose
the chunks of that page keeps a copy of what `IndexPages.update` gives until it is written.

A million entries are read in about 0.1 s (`read_entries`). Whatever is malformed is refused, and
nothing is read, nor memory taken, beyond the end that the caller knows the file to have.

Source: HDF5 File Format Specification 3.0, sections "Disk Format Level 0A: Superblock", "Data
    Layout Message" and, under "Types of Indexes for Dataset Chunks", "Fixed Array Index".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganprobe.errors import StoreError
from ganprobe.store.lookup3 import lookup3, lookup3_rows

__all__ = [
    "ADDRESS_ATTRIBUTE",
    "ENTRY",
    "SUPERBLOCK_BYTES",
    "UNDEFINED",
    "ChunkIndex",
    "IndexPages",
    "ReadAt",
    "Write",
    "blank_index",
    "create_index",
    "read_entries",
    "read_index",
    "superblock_end",
    "superblock_with_end",
]

ReadAt = Callable[[int, int], bytes]
"""The bytes of a file from an offset on, as many as asked for; fewer at its end."""

Write = tuple[int, bytes]
"""An offset in the file, and the bytes that belong there."""

ENTRY = np.dtype([("address", "<u8"), ("size", "<u8"), ("mask", "<u4")])
"""Where a chunk is stored, in how many bytes, and which filters were skipped."""

UNDEFINED = 2**64 - 1
"""The address of a chunk that was never written."""

ADDRESS_ATTRIBUTE = "chunk_index_address"
"""The attribute of a dataset, int64, that says where its index begins."""

SUPERBLOCK_BYTES = 48
"""The length of the superblock, at the beginning of the file."""

_HEADER = struct.Struct("<4sBBBBQQ")  # signature, version, client, entry size, page bits, n, block
_BLOCK = struct.Struct("<4sBBQ")  # signature, version, client, address of the header
_FILTERED_CHUNKS = 1
_CHECKSUM_BYTES = 4
_ENTRY_BYTES = range(8 + 1 + 4, 8 + 8 + 4 + 1)  # the size takes as many bytes as it may need
_PLACEHOLDER = b"\0"

_SUPERBLOCK = struct.Struct("<8sBBBBQQQQ")  # base, extension, end of file, root follow the bytes
_SUPERBLOCK_START = (b"\x89HDF\r\n\x1a\n", 3, 8, 8, 0, 0)

_LAYOUT, _CONTINUATION = 0x08, 0x10  # types of messages in an object's header
_LAYOUT_VERSION, _CHUNKED, _FIXED_ARRAY = 4, 2, 3


@dataclass(frozen=True)
class ChunkIndex:
    """Where the index of a dataset's chunks lies in a file, and how it is divided into pages.

    Args:
        address: of the header.
        block: the address of the data block.
        n_chunks: how many chunks it has entries for.
        entry_bytes: the bytes of one entry.
        page_bits: more than 2**page_bits chunks are divided into pages of so many.
    """

    address: int
    block: int
    n_chunks: int
    entry_bytes: int
    page_bits: int

    @property
    def is_paged(self) -> bool:
        """Whether pages have checksums of their own, apart from the block's."""
        return self.n_chunks > 1 << self.page_bits

    @property
    def page_chunks(self) -> int:
        """How many chunks each page but the last is for."""
        return 1 << self.page_bits if self.is_paged else self.n_chunks

    @property
    def n_pages(self) -> int:
        """How many pages there are; the last may be shorter."""
        return -(-self.n_chunks // self.page_chunks)

    @property
    def end(self) -> int:
        """The address behind the last page."""
        return self.offset(self.n_pages - 1) + self.page_bytes(self.n_pages - 1)

    @property
    def prefix(self) -> bytes:
        """How the block begins when all its pages are there."""
        return self.prefix_with(self.n_pages)

    def prefix_with(self, n_pages: int) -> bytes:
        """How the block begins when only the first pages are there; unpaged ones always are."""
        start = _BLOCK.pack(b"FADB", 0, _FILTERED_CHUNKS, self.address)
        if not self.is_paged:
            return start
        bits = np.arange(self.n_pages) < n_pages
        return _sealed(start + np.packbits(bits).tobytes())

    @property
    def prefix_bytes(self) -> int:
        """The length of what the block begins with."""
        bitmap = -(-self.n_pages // 8) + _CHECKSUM_BYTES if self.is_paged else 0
        return _BLOCK.size + bitmap

    @property
    def page_lead(self) -> int:
        """The bytes in front of a page's entries that its checksum covers too."""
        return 0 if self.is_paged else self.prefix_bytes

    def pages(self, chunks: range) -> range:
        """The pages that hold the entries of a run of chunks."""
        return range(chunks.start // self.page_chunks, -(-chunks.stop // self.page_chunks))

    def chunks(self, page: int) -> range:
        """The chunks that a page has the entries of."""
        start = page * self.page_chunks
        return range(start, min(start + self.page_chunks, self.n_chunks))

    def offset(self, page: int) -> int:
        """Where a page begins in the file."""
        if not self.is_paged:
            return self.block
        return self.block + self.prefix_bytes + page * self.page_bytes(0)

    def page_bytes(self, page: int) -> int:
        """The length of a page with all that its checksum covers, and the checksum."""
        return self.page_lead + len(self.chunks(page)) * self.entry_bytes + _CHECKSUM_BYTES

    def page(self, entries: bytes) -> bytes:
        """A page of encoded entries as it is in the file."""
        return _sealed((b"" if self.is_paged else self.prefix) + entries)


class IndexPages:
    """The pages of an index in memory, each read when it is first changed.

    One writer keeps one of these; what another writes meanwhile is overwritten.

    Args:
        read_at: reads the file.
        index: where its index is.
        end: no page lies beyond this offset.
        is_blank: take what is in the file for empty, whatever it is.
    """

    def __init__(
        self, read_at: ReadAt, index: ChunkIndex, *, end: int, is_blank: bool = False
    ) -> None:
        self.index = index
        self._is_blank = is_blank
        self._read_at = read_at
        self._end = end
        self._pages: dict[int, NDArray[np.uint8]] = {}

    def update(self, first_chunk: int, addresses: ArrayLike, sizes: ArrayLike) -> list[Write]:
        """The writes that put a run of stored chunks into the index, one whole page each.

        They replace bytes of the file and never make it longer.

        Args:
            first_chunk: the number, in row-major order, of the first of them.
            addresses: (n,), where each is stored.
            sizes: (n,), its stored bytes.

        Raises:
            StoreError: the index has no such chunk or no room for such a size, or a page that is
                changed was damaged.
        """
        rows = self._encoded(np.asarray(addresses, "<u8"), np.asarray(sizes, "<u8"))
        chunks = range(first_chunk, first_chunk + len(rows))
        _check_chunks(self.index, chunks)
        return [self._changed(page, chunks, rows) for page in self.index.pages(chunks)]

    def all(self) -> list[Write]:
        """The writes that make the file's pages what they are here, one for each page.

        Raises:
            StoreError: a page that is taken from the file was damaged.
        """
        pages = range(self.index.n_pages)
        return [
            (self.index.offset(page), self.index.page(self._entries(page).tobytes()))
            for page in pages
        ]

    def _changed(self, page: int, chunks: range, rows: NDArray[np.uint8]) -> Write:
        entries = self._entries(page)
        held = self.index.chunks(page)
        start, stop = max(chunks.start, held.start), min(chunks.stop, held.stop)
        entries[start - held.start : stop - held.start] = rows[
            start - chunks.start : stop - chunks.start
        ]
        return self.index.offset(page), self.index.page(entries.tobytes())

    def _entries(self, page: int) -> NDArray[np.uint8]:
        """The encoded entries of a page, (chunks, entry bytes), which may be changed."""
        if page not in self._pages and self._is_blank:
            empty = _empty(self.index) * len(self.index.chunks(page))
            rows = np.frombuffer(empty, np.uint8).reshape(-1, self.index.entry_bytes)
            self._pages[page] = rows.copy()
        elif page not in self._pages:
            pages = range(page, page + 1)
            self._pages[page] = _read_pages(self._read_at, self.index, pages, self._end).copy()
        return self._pages[page]

    def _encoded(
        self, addresses: NDArray[np.uint64], sizes: NDArray[np.uint64]
    ) -> NDArray[np.uint8]:
        size_bytes = self.index.entry_bytes - 12
        if sizes.size and int(sizes.max()) >= 256**size_bytes:
            raise StoreError(
                f"a chunk of {int(sizes.max()):,} stored bytes is more than its index has room"
                f" for, {256**size_bytes - 1:,}; store it uncompressed"
            )
        rows = np.zeros((len(addresses), self.index.entry_bytes), dtype=np.uint8)
        rows[:, :8] = _as_bytes(addresses)
        rows[:, 8:-4] = _as_bytes(sizes)[:, :size_bytes]
        return rows


def read_index(read_at: ReadAt, address: int, *, n_chunks: int, end: int) -> ChunkIndex:
    """The index that begins at an address, all but its entries checked.

    Args:
        read_at: reads the file.
        address: of the index, as the dataset's attribute has it.
        n_chunks: how many chunks the dataset has.
        end: the size of the file; nothing is read beyond it.

    Raises:
        StoreError: there is no index for so many filtered chunks, or it is damaged.
    """
    index = _read_header(read_at, address, n_chunks, end)
    _check_prefix(read_at, index, index.prefix, end)
    return index


def read_entries(
    read_at: ReadAt, index: ChunkIndex, *, end: int, chunks: range | None = None
) -> NDArray[np.void]:
    """The entries of a run of chunks, (n,) of `ENTRY`; `UNDEFINED` addresses were never written.

    Args:
        read_at: reads the file.
        index: where its index is.
        end: the size of the file.
        chunks: which, numbered in row-major order; None: all.

    Raises:
        StoreError: a page is damaged, or a chunk lies beyond the end of the file.
    """
    chunks = range(index.n_chunks) if chunks is None else chunks
    _check_chunks(index, chunks)
    pages = index.pages(chunks)
    first = index.chunks(pages.start).start
    raw = _read_pages(read_at, index, pages, end)[chunks.start - first : chunks.stop - first]
    entries = _decoded(raw)
    _check_entries(index, entries, chunks.start, end)
    return entries


def create_index(dataset: Any, read_at: ReadAt) -> ChunkIndex:
    """Have HDF5 lay out the index of a dataset that was just created, and note its address.

    The dataset has then a meaningless first chunk, which `blank_index` takes out again when the
    file is closed. Its fill time must not be "never": chunks not yet written are to read as the
    fill value.

    Args:
        dataset: an empty `h5py.Dataset` of at least two chunks with a filter and a fixed shape,
            in a file of ``libver=("v110", "v110")``.
        read_at: reads what HDF5 has written of its file.

    Raises:
        StoreError: this dataset, or this HDF5 library, has another kind of index.
    """
    n_chunks = _count_chunks(dataset)
    dataset.id.write_direct_chunk((0,) * dataset.ndim, _PLACEHOLDER)
    dataset.file.flush()
    end = superblock_end(read_at(0, SUPERBLOCK_BYTES))
    address = _index_address(read_at, h5py.h5o.get_info(dataset.id).addr, end)
    index = _read_header(read_at, address, n_chunks, end)
    _check_placeholder(read_at, index, end, dataset.id.get_chunk_info(0).byte_offset)
    dataset.attrs.create(ADDRESS_ATTRIBUTE, address, dtype=np.int64)
    return index


def blank_index(read_at: ReadAt, index: ChunkIndex, *, end: int) -> list[Write]:
    """The writes that make an index complete and empty once HDF5 has closed its file.

    They begin where the block does and leave no gap; HDF5 itself may not have written so far.

    Args:
        read_at: reads what HDF5 has written.
        index: as `create_index` gave it.
        end: where the file ends according to its superblock.

    Raises:
        StoreError: the index is no longer where it was, or not as it was.
    """
    if index != _read_header(read_at, index.address, index.n_chunks, end):
        raise _unknown_layout("it moved a chunk index when the file was closed")
    _check_placeholder(read_at, index, end)
    lead = [(index.block, index.prefix)] if index.is_paged else []
    empty = _empty(index)
    lengths = [len(index.chunks(page)) for page in range(index.n_pages)]
    pages = {length: index.page(empty * length) for length in sorted(set(lengths))}
    return lead + [(index.offset(page), pages[length]) for page, length in enumerate(lengths)]


def _empty(index: ChunkIndex) -> bytes:
    """The entry of a chunk that was never written."""
    return struct.pack("<Q", UNDEFINED).ljust(index.entry_bytes, b"\0")


def superblock_end(superblock: bytes) -> int:
    """Where the file ends according to its superblock.

    Args:
        superblock: the first 48 bytes of the file.

    Raises:
        StoreError: they are no superblock of version 3 of a file that was closed, or damaged.
    """
    if len(superblock) != SUPERBLOCK_BYTES or _unsealed(superblock) is None:
        raise StoreError("the superblock of the HDF5 file is damaged; record it again")
    *start, _extension, end, _root = _SUPERBLOCK.unpack(superblock[: _SUPERBLOCK.size])
    if tuple(start) != _SUPERBLOCK_START:
        raise StoreError(
            "the HDF5 file has another kind of superblock than version 3, or was not closed;"
            " record it again"
        )
    return int(end)


def superblock_with_end(superblock: bytes, end: int) -> bytes:
    """A superblock for a file that ends at another offset, 48 bytes.

    Raises:
        StoreError: the superblock is damaged.
    """
    superblock_end(superblock)
    *start, extension, _, root = _SUPERBLOCK.unpack(superblock[: _SUPERBLOCK.size])
    return _sealed(_SUPERBLOCK.pack(*start, extension, end, root))


def _read_header(read_at: ReadAt, address: int, n_chunks: int, end: int) -> ChunkIndex:
    raw = _read(read_at, address, _HEADER.size + _CHECKSUM_BYTES, end)
    fields = _unsealed(raw)
    if fields is None:
        raise _damaged(address, "its header does not match its checksum")
    signature, version, client, entry_bytes, page_bits, n_entries, block = _HEADER.unpack(fields)
    if (signature, version, client) != (b"FAHD", 0, _FILTERED_CHUNKS):
        raise _damaged(address, "it is no fixed array of filtered chunks, version 0")
    if n_entries != n_chunks or n_chunks < 2:
        raise _damaged(address, f"it is for {n_entries:,} chunks, but the dataset has {n_chunks:,}")
    if entry_bytes not in _ENTRY_BYTES or not 1 <= page_bits < 32:
        raise _damaged(address, f"its entries take {entry_bytes} bytes, its pages {page_bits} bits")
    index = ChunkIndex(address, block, n_chunks, entry_bytes, page_bits)
    if index.end > end:
        raise _damaged(address, f"it ends at byte {index.end:,}, the file at byte {end:,}")
    return index


def _check_prefix(read_at: ReadAt, index: ChunkIndex, prefix: bytes, end: int) -> None:
    if _read(read_at, index.block, len(prefix), end) != prefix:
        raise _damaged(index.address, "its data block does not begin as it should")


def _check_placeholder(
    read_at: ReadAt, index: ChunkIndex, end: int, address: int | None = None
) -> None:
    """Refuse an index that does not hold a placeholder, at an address if one is given, alone."""
    _check_prefix(read_at, index, index.prefix_with(1), end)
    entries = read_entries(read_at, index, end=end, chunks=index.chunks(0))
    found, size = int(entries["address"][0]), int(entries["size"][0])
    is_alone = bool((entries["address"][1:] == UNDEFINED).all())
    if not is_alone or size != len(_PLACEHOLDER) or address not in (None, found):
        raise _unknown_layout("its chunk index does not hold the one chunk that was written")


def _read_pages(read_at: ReadAt, index: ChunkIndex, pages: range, end: int) -> NDArray[np.uint8]:
    """The encoded entries of a run of pages, (chunks, entry bytes), their checksums checked."""
    start, last = index.offset(pages.start), pages.stop - 1
    n_bytes = index.offset(last) + index.page_bytes(last) - start
    raw = np.frombuffer(_read(read_at, start, n_bytes, end), dtype=np.uint8)
    whole = n_bytes // index.page_bytes(0)
    split = whole * index.page_bytes(0)
    groups = [raw[:split].reshape(whole, -1)] if whole else []
    groups += [raw[split:].reshape(1, -1)] if split < n_bytes else []
    return np.concatenate([_page_entries(index, rows, pages.start) for rows in groups])


def _page_entries(index: ChunkIndex, rows: NDArray[np.uint8], page: int) -> NDArray[np.uint8]:
    """The encoded entries of pages of one length, (chunks, entry bytes), from (pages, bytes)."""
    body, stored = rows[:, :-_CHECKSUM_BYTES], rows[:, -_CHECKSUM_BYTES:]
    if (lookup3_rows(body) != np.ascontiguousarray(stored).view("<u4")[:, 0]).any():
        raise _damaged(index.address, f"a page from page {page} on does not match its checksum")
    return body[:, index.page_lead :].reshape(-1, index.entry_bytes)


def _decoded(raw: NDArray[np.uint8]) -> NDArray[np.void]:
    entries = np.zeros(len(raw), dtype=ENTRY)
    fields = entries.view(np.uint8).reshape(len(raw), ENTRY.itemsize)
    fields[:, :8] = raw[:, :8]
    fields[:, 8 : raw.shape[1] - 4] = raw[:, 8:-4]
    fields[:, 16:] = raw[:, -4:]
    return entries


def _check_entries(index: ChunkIndex, entries: NDArray[np.void], first: int, end: int) -> None:
    address, size = entries["address"], entries["size"]
    is_inside = (address <= end) & (size > 0) & (size <= end - np.minimum(address, end))
    wrong = np.flatnonzero((address != UNDEFINED) & ~is_inside)
    if len(wrong):
        raise _damaged(
            index.address,
            f"chunk {first + int(wrong[0]):,} has {int(size[wrong[0]]):,} bytes at byte"
            f" {int(address[wrong[0]]):,} of a file of {end:,}",
        )


def _check_chunks(index: ChunkIndex, chunks: range) -> None:
    if not (0 <= chunks.start < chunks.stop <= index.n_chunks and chunks.step == 1):
        raise StoreError(
            f"there are no chunks {chunks.start:,} to {chunks.stop:,}; the index has"
            f" {index.n_chunks:,}"
        )


def _count_chunks(dataset: Any) -> int:
    """How many chunks a dataset has that will have such an index, else an error."""
    plan = dataset.id.get_create_plist()
    if plan.get_nfilters() == 0:
        raise StoreError(f"dataset {dataset.name} has no filter; it needs no chunk index")
    if plan.get_fill_time() == h5py.h5d.FILL_TIME_NEVER:
        raise StoreError(f"dataset {dataset.name} is never filled; give it another fill time")
    sizes = zip(dataset.shape, dataset.chunks, strict=True)
    n_chunks: int = math.prod(-(-size // chunk) for size, chunk in sizes)
    if n_chunks < 2:
        raise StoreError(f"dataset {dataset.name} has {n_chunks} chunks; an index needs 2 or more")
    return n_chunks


def _index_address(read_at: ReadAt, address: int, end: int) -> int:
    """The address of the index according to a dataset's header."""
    layouts = [body for kind, body in _messages(read_at, address, end) if kind == _LAYOUT]
    if len(layouts) != 1 or len(layouts[0]) < 5:
        raise _unknown_layout("a dataset's header has no layout message")
    version, layout, flags, n_axes, size_bytes = layouts[0][:5]
    if (version, layout, flags) != (_LAYOUT_VERSION, _CHUNKED, 0):
        raise _unknown_layout(f"a dataset has a layout of version {version}, class {layout}")
    kind, _page_bits, index = struct.unpack_from("<BBQ", layouts[0], 5 + n_axes * size_bytes)
    if kind != _FIXED_ARRAY:
        raise _unknown_layout(f"a dataset has a chunk index of type {kind}, not {_FIXED_ARRAY}")
    return int(index)


def _messages(read_at: ReadAt, address: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The type and body of each message of an object's header of version 2."""
    signature, version, flags = struct.unpack("<4sBB", _read(read_at, address, 6, end))
    if (signature, version) != (b"OHDR", 2):
        raise _unknown_layout("a dataset has a header of another version than 2")
    lead = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    length = int.from_bytes(_read(read_at, address + lead, width, end), "little")
    parts = [(address, lead + width, lead + width + length + _CHECKSUM_BYTES)]
    for start, skipped, n_bytes in parts:  # which grows meanwhile
        part = _unsealed(_read(read_at, start, n_bytes, end))
        if part is None:
            raise _unknown_layout("a dataset's header does not match its checksum")
        for kind, body in _messages_in(part[skipped:], 6 if flags & 0x04 else 4):
            if kind == _CONTINUATION:
                offset, size = struct.unpack("<QQ", body)
                parts.append((offset, 4, size))
            yield kind, body


def _messages_in(part: bytes, lead: int) -> Iterator[tuple[int, bytes]]:
    while len(part) >= lead:  # less is a gap
        kind, size = struct.unpack_from("<BH", part)
        yield kind, part[lead : lead + size]
        part = part[lead + size :]


def _read(read_at: ReadAt, offset: int, n_bytes: int, end: int) -> bytes:
    """Bytes that lie before the end of the file, all of them."""
    found = read_at(offset, n_bytes) if 0 <= offset <= end - n_bytes else b""
    if len(found) != n_bytes:
        raise StoreError(
            f"the HDF5 file should have {n_bytes:,} bytes at byte {offset:,} but is shorter;"
            " record it again"
        )
    return found


def _as_bytes(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(values, "<u8").view(np.uint8).reshape(-1, 8)


def _sealed(data: bytes) -> bytes:
    return data + lookup3(data).to_bytes(_CHECKSUM_BYTES, "little")


def _unsealed(data: bytes) -> bytes | None:
    """What stands before a checksum, or None where that does not match."""
    body = data[:-_CHECKSUM_BYTES]
    return body if _sealed(body) == data else None


def _damaged(address: int, why: str) -> StoreError:
    return StoreError(f"the chunk index at byte {address:,} cannot be used: {why}; record it again")


def _unknown_layout(why: str) -> StoreError:
    return StoreError(
        f"HDF5 {h5py.version.hdf5_version} lays files out in an unknown way: {why}; record"
        " without compression, or with another release of h5py"
    )
