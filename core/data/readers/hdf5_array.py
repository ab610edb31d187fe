"""One array of an HDF5 file.

Chunks are unpacked here and not by the HDF5 library: its filters allocate whatever a damaged or
hostile chunk asks for, and it knows neither blosc nor zstd.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import h5py
import numpy as np

from core.data.episode import EpisodeError
from core.data.readers.chunked import MOST_SLAB_BYTES, ChunkedRows, slab_bytes
from core.data.readers.codecs import BROKEN, Codec, unfiltered, unpacked
from core.data.readers.files import damaged

HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError)
"""What the library raises on damaged files."""
_SHUFFLE, _FLETCHER32, _LZF = 2, 3, 32000
_PACKERS = {1: "zlib", 32001: "blosc", 32015: "zstd"}
"""HDF5 filter number to codec."""
_CHECKSUM_BYTES = 4
_SLACK_BYTES = 4096


@contextmanager
def naming(place: str) -> Iterator[None]:
    """What the library raises on damaged files becomes an `EpisodeError` that names the place."""
    try:
        yield
    except EpisodeError:
        raise
    except (*HDF5_ERRORS, *BROKEN) as error:
        raise damaged(place, error) from error


@dataclass(frozen=True)
class _Filter:
    code: int
    input_bytes: int
    """Bytes of a chunk before this filter; what undoing it must give."""
    item_bytes: int


class Hdf5Rows:
    """Rows of an array that is not packed, or that only the library can unpack."""

    def __init__(self, data: h5py.Dataset, name: str, lead: int | None = None) -> None:
        self.shape = data.shape if lead is None else data.shape[1:]
        self.dtype = data.dtype
        self._data = data
        self._name = name
        self._lead = lead

    def read(self, start: int, stop: int) -> np.ndarray:
        rows = slice(start, stop)
        with naming(self._name):
            return np.asarray(self._data[rows if self._lead is None else (self._lead, rows)])


class Hdf5Chunks(ChunkedRows):
    """Rows of a chunked array. With `lead`, those of `data[lead]`."""

    def __init__(
        self,
        data: h5py.Dataset,
        name: str,
        filters: tuple[_Filter, ...],
        lead: int | None = None,
    ) -> None:
        skipped = 0 if lead is None else 1
        super().__init__(data.shape[skipped:], data.chunks[skipped:], data.dtype, name)
        self._data = data
        self._filters = filters
        self._lead = lead
        self._whole = data.chunks
        self._bytes = int(np.prod(data.chunks)) * data.dtype.itemsize

    def _chunk(self, index: tuple[int, ...]) -> np.ndarray:
        if self._lead is None:
            return self._decoded(index)
        height = self._whole[0]
        whole = self._decoded((self._lead // height, *index))
        return np.asarray(whole[self._lead % height])

    def _decoded(self, index: tuple[int, ...]) -> np.ndarray:
        corner = tuple(i * c for i, c in zip(index, self._whole, strict=True))
        place = f"{self._name}, chunk {index}"
        with naming(place):
            found = self._data.id.get_chunk_info_by_coord(corner)
            if found.byte_offset is None:
                return np.full(self._whole, self._data.fillvalue, self.dtype)
            if found.size > 2 * self._bytes + _SLACK_BYTES:
                raise damaged(place, f"{found.size} bytes where {self._bytes} are expected")
            skipped, packed = self._data.id.read_direct_chunk(corner)
            plain = self._undone(packed, skipped)
            return np.frombuffer(plain, self.dtype).reshape(self._whole)

    def _undone(self, data: bytes, skipped: int) -> bytes:
        """A chunk without its filters; bit i of `skipped` says that filter i was not used."""
        for i, used in reversed(list(enumerate(self._filters))):
            if skipped >> i & 1:
                continue
            if used.code == _FLETCHER32:
                data = data[:-_CHECKSUM_BYTES]
            elif used.code == _SHUFFLE:
                shuffle = Codec.model_validate({"id": "shuffle", "elementsize": used.item_bytes})
                data = unfiltered(data, (shuffle,))
            else:
                data = unpacked(data, used.input_bytes, Codec(id=_PACKERS[used.code]))
        return data


def rows_of_array(data: h5py.Dataset, name: str, lead: int | None = None) -> ChunkedRows | Hdf5Rows:
    """The rows of a dataset; `EpisodeError` if they lie outside the file or cannot be unpacked."""
    _check(data, name)
    filters = _filters(data, name)
    if data.chunks is None:
        return Hdf5Rows(data, name, lead)
    if slab_bytes(data.shape, data.chunks, data.dtype) > MOST_SLAB_BYTES:
        raise damaged(name, f"a row of chunks {data.chunks} takes more than 1 GiB")
    if not filters or any(f.code == _LZF for f in filters) or is_bytes(data.dtype):
        return Hdf5Rows(data, name, lead)
    return Hdf5Chunks(data, name, filters, lead)


def _check(data: h5py.Dataset, name: str) -> None:
    if data.is_virtual or data.id.get_create_plist().get_external_count():
        raise EpisodeError(
            "unreadable",
            name,
            "keeps its values in other files, which are never opened",
            fix="copy the values into the file, as h5repack does",
        )
    if data.dtype.kind not in "buifS" and not is_bytes(data.dtype):
        raise EpisodeError("object_array", name, f"holds {data.dtype} values", fix=_PLAIN)
    if not data.shape:
        raise EpisodeError("wrong_shape", name, "is a single value", fix=_PLAIN)


def is_bytes(dtype: np.dtype) -> bool:
    """Rows of bytes that differ in number, as packed pictures do."""
    return bool(h5py.check_vlen_dtype(dtype) == np.uint8)


_PLAIN = "store plain numbers, one row per frame"


def _filters(data: h5py.Dataset, name: str) -> tuple[_Filter, ...]:
    """The filters in the order in which they were applied; at most one of them packs."""
    plan = data.id.get_create_plist()
    size = int(np.prod(data.chunks or (0,), dtype=object)) * data.dtype.itemsize
    found: list[_Filter] = []
    for i in range(plan.get_nfilters()):
        code, _, settings, label = plan.get_filter(i)
        item_bytes = settings[0] if code == _SHUFFLE and settings else data.dtype.itemsize
        known = code in (_SHUFFLE, _FLETCHER32, _LZF, *_PACKERS)
        packs = sum(f.code not in (_SHUFFLE, _FLETCHER32) for f in found)
        if not known or (packs and code != _FLETCHER32):
            words = label.decode("ascii", "replace") or str(code)
            raise EpisodeError(
                "codec_refused",
                name,
                f"is packed with HDF5 filter {code} ({words[:40]}), alone or after another",
                fix="write it again with compression='gzip', or with h5repack",
            )
        found.append(_Filter(code, size, item_bytes))
        size += _CHECKSUM_BYTES if code == _FLETCHER32 else 0
    return tuple(found)
