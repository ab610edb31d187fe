"""Unpacking of zarr chunks: a short list of codecs, and never more bytes than a chunk holds.

Codecs such as `pickle` run code, so what is not on the list is refused from the metadata alone.
"""

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numcodecs
import numpy as np
from pydantic import BaseModel

from core.data.episode import EpisodeError

FILTERS = ("delta", "shuffle")
_SMALL_BYTES = 512 << 10
BROKEN = (RuntimeError, ValueError, TypeError, struct.error, zlib.error)
"""What damaged chunks and codec settings raise."""


class Codec(BaseModel, extra="allow"):
    """`id` and the settings of one codec."""

    id: str


def check_codecs(compressor: Codec | None, filters: tuple[Codec, ...], array: str) -> None:
    """`EpisodeError` for a codec that is not on the list."""
    packers = (compressor,) if compressor else ()
    for codecs, allowed in ((packers, COMPRESSORS), (filters, FILTERS)):
        for codec in codecs:
            if codec.id not in allowed:
                raise EpisodeError(
                    "codec_refused",
                    array,
                    f"is packed with codec {codec.id[:40]!r}",
                    fix=f"write it again with one of {', '.join(allowed)}",
                )


def unfiltered(data: Any, filters: tuple[Codec, ...]) -> Any:
    """Undo filters, the last one first."""
    for codec in reversed(filters):
        data = numcodecs.get_codec(codec.model_dump()).decode(data)
    return data


def unpacked(packed: bytes, size: int, codec: Codec | None) -> Any:
    """Exactly `size` bytes; `ValueError` if the chunk says or holds another number."""
    if codec is None:
        return packed
    return _UNPACKERS[codec.id](packed, size)


def _inflate(window_bits: int) -> Callable[[bytes, int], Any]:
    """Deflate packs 1032 : 1 at most: a small chunk can be unpacked at once, which is quicker,
    and a large one stops at the right size."""

    def unpack(packed: bytes, size: int) -> Any:
        if len(packed) <= _SMALL_BYTES:
            return memoryview(zlib.decompress(packed, window_bits, max(1, size)))[:size]
        return zlib.decompressobj(window_bits).decompress(packed, size)

    return unpack


def _native(codec_id: str, promised: Callable[[bytes], int]) -> Callable[[bytes, int], Any]:
    """Reads the size from the header first, because the C code trusts the header."""

    def unpack(packed: bytes, size: int) -> Any:
        if promised(packed) != size:
            raise ValueError(f"it unpacks to {promised(packed)} bytes instead of {size}")
        buffer = np.empty(size, np.uint8)
        numcodecs.get_codec({"id": codec_id}).decode(packed, out=buffer)
        return buffer

    return unpack


def _blosc_size(packed: bytes) -> int:
    unpacked_bytes, packed_bytes = struct.unpack_from("<4xL4xL", packed)
    if packed_bytes != len(packed):
        raise ValueError(f"it has {len(packed)} bytes and says {packed_bytes}")
    return int(unpacked_bytes)


def _lz4_size(packed: bytes) -> int:
    return int(struct.unpack_from("<L", packed)[0])


def _zstd_size(packed: bytes) -> int:
    """Content size from the frame header (RFC 8878, 3.1.1.1)."""
    magic, flags = struct.unpack_from("<LB", packed)
    if magic != 0xFD2FB528:
        raise ValueError("it does not start with a zstd frame")
    single = flags >> 5 & 1
    at = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
    width = (single, 2, 4, 8)[flags >> 6]
    if not width:
        raise ValueError("its zstd frame does not say how long it is")
    size = int.from_bytes(packed[at : at + width], "little")
    return size + 256 if width == 2 else size


_UNPACKERS: dict[str, Callable[[bytes, int], Any]] = {
    "blosc": _native("blosc", _blosc_size),
    "zstd": _native("zstd", _zstd_size),
    "lz4": _native("lz4", _lz4_size),
    "zlib": _inflate(15),
    "gzip": _inflate(31),
}
COMPRESSORS = tuple(_UNPACKERS)
