"""The codecs that chunks of a store are compressed with: of HDF5's registered filters, two.

Both let other threads run while they work, and may be called by many at once. zstd checks, with
a checksum, that what comes out is what went in; lz4 has none, and says only whether the sizes
are right. Reading such a file with h5py needs ``import hdf5plugin``; here nothing does.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from ganprobe.errors import StoreError, UnknownNameError

__all__ = ["CODECS", "Buffer", "Codec", "codec"]

Buffer = bytes | bytearray | memoryview | NDArray[Any]
"""Bytes, or an array whose values lie one behind the other."""

_ZSTD_LEVEL = 1
_LZ4_HEADER = struct.Struct(">QI")  # bytes of all, bytes of a block but the last
_LZ4_SIZE = struct.Struct(">I")
_LZ4_BLOCK = 1 << 30


@dataclass(frozen=True)
class Codec:
    """A way to compress a chunk, as one of HDF5's registered filters has it.

    Args:
        name: what users call it.
        filter_id: its number in HDF5's registry of filters.
        filter_options: what the filter is given in the dataset's header.
        module: the Python module that does it.
        compress: takes a chunk and gives what the file stores of it.
        decompress: takes what the file stores and the chunk's bytes, and gives the chunk; raises
            `StoreError` where they do not fit, having taken no more memory than a chunk.
    """

    name: str
    filter_id: int
    filter_options: tuple[int, ...]
    module: str
    compress: Callable[[Buffer], bytes]
    decompress: Callable[[Buffer, int], bytes]

    @property
    def dataset_options(self) -> Mapping[str, Any]:
        """What `h5py.Group.create_dataset` is given; the filter itself need not be there."""
        return {
            "compression": self.filter_id,
            "compression_opts": self.filter_options,
            "allow_unknown_filter": True,
        }


def codec(name: str) -> Codec:
    """The codec of a name, ready for use.

    Raises:
        UnknownNameError: there is none of that name.
        StoreError: its package is not installed.
    """
    if name not in CODECS:
        raise UnknownNameError("compression", name, CODECS)
    _package(CODECS[name].module)
    return CODECS[name]


def _zstd_compress(chunk: Buffer) -> bytes:
    compressed: bytes = _of_this_thread().compressor.compress(chunk)
    return compressed


def _zstd_decompress(stored: Buffer, n_bytes: int) -> bytes:
    zstandard = _package("zstandard")
    try:
        found = zstandard.frame_content_size(stored)
        if found != n_bytes:
            raise _corrupt("zstd", f"it says that it holds {found:,} bytes, not {n_bytes:,}")
        chunk: bytes = _of_this_thread().decompressor.decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise _corrupt("zstd", str(error)) from error
    return chunk


def _lz4_compress(chunk: Buffer) -> bytes:
    raw = _view(chunk)
    block = min(len(raw), _LZ4_BLOCK)
    parts: list[bytes | memoryview] = [_LZ4_HEADER.pack(len(raw), block)]
    for start in range(0, len(raw), max(block, 1)):
        parts += _lz4_block(raw[start : start + block])
    return b"".join(parts)


def _lz4_block(raw: memoryview) -> tuple[bytes, bytes | memoryview]:
    """The stored size and what is stored of a block, which is itself where it does not shrink."""
    compressed: bytes = _package("lz4.block").compress(raw, store_size=False)
    stored = compressed if len(compressed) < len(raw) else raw
    return _LZ4_SIZE.pack(len(stored)), stored


def _lz4_decompress(stored: Buffer, n_bytes: int) -> bytes:
    parts = list(_lz4_parts(_view(stored), n_bytes))
    return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)


def _lz4_parts(stored: memoryview, n_bytes: int) -> Iterator[bytes | memoryview]:
    """The chunk's blocks, one after the other."""
    if len(stored) < _LZ4_HEADER.size:
        raise _corrupt("lz4", f"it has {len(stored)} bytes, less than its header")
    found, block = _LZ4_HEADER.unpack_from(stored)
    if found != n_bytes or (block == 0 and n_bytes):
        raise _corrupt("lz4", f"it says that it holds {found:,} bytes, not {n_bytes:,}")
    rest = stored[_LZ4_HEADER.size :]
    for start in range(0, n_bytes, max(block, 1)):
        size = int.from_bytes(rest[: _LZ4_SIZE.size], "big")
        end = _LZ4_SIZE.size + size
        if size == 0 or end > len(rest):
            raise _corrupt("lz4", f"a block of {size:,} bytes is not there")
        yield _lz4_raw(rest[_LZ4_SIZE.size : end], min(block, n_bytes - start))
        rest = rest[end:]
    if rest:
        raise _corrupt("lz4", f"{len(rest):,} bytes follow its end")


def _lz4_raw(stored: memoryview, n_bytes: int) -> bytes | memoryview:
    if len(stored) == n_bytes:
        return stored
    lz4 = _package("lz4.block")
    try:
        raw: bytes = lz4.decompress(stored, uncompressed_size=n_bytes)
    except lz4.LZ4BlockError as error:
        raise _corrupt("lz4", str(error)) from error
    if len(raw) != n_bytes:
        raise _corrupt("lz4", f"a block holds {len(raw):,} bytes, not {n_bytes:,}")
    return raw


def _view(buffer: Any) -> memoryview:
    return memoryview(buffer).cast("B")


class _Zstd(threading.local):
    """A compressor and a decompressor for each thread, as they may not be shared."""

    def __init__(self) -> None:
        zstandard = _package("zstandard")
        self.compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True)
        self.decompressor = zstandard.ZstdDecompressor()


@cache
def _of_this_thread() -> _Zstd:
    return _Zstd()


def _package(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise StoreError(
            f"package {name}, which compresses stores, is missing; pip install {name}"
        ) from error


def _corrupt(name: str, why: str) -> StoreError:
    return StoreError(f"a chunk is no {name} data that can be read: {why}; record it again")


CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        "lz4": Codec("lz4", 32004, (0,), "lz4.block", _lz4_compress, _lz4_decompress),
        "zstd": Codec("zstd", 32015, (_ZSTD_LEVEL,), "zstandard", _zstd_compress, _zstd_decompress),
    }
)
"""By name."""
