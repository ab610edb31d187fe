"""One array of a zarr version 2 store, decoded chunk by chunk."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from core.data.episode import EpisodeError
from core.data.readers.archive import DEFAULT_LIMITS
from core.data.readers.chunked import MOST_SLAB_BYTES, ChunkedRows, slab_bytes
from core.data.readers.codecs import BROKEN, Codec, check_codecs, unfiltered, unpacked
from core.data.readers.files import Files, damaged

_META_BYTES = 1 << 20
_Size = Annotated[int, Field(ge=0)]


class _ArrayMeta(BaseModel):
    """`.zarray`."""

    zarr_format: Literal[2]
    shape: tuple[_Size, ...] = Field(min_length=1, max_length=6)
    chunks: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1, max_length=6)
    dtype: str
    compressor: Codec | None
    filters: tuple[Codec, ...] | None = None
    fill_value: float | int | bool | None = None
    order: Literal["C", "F"] = "C"
    dimension_separator: Literal[".", "/"] = "."


class ZarrRows(ChunkedRows):
    """Rows of one array. `sparse` arrays may lack chunks, which then hold the fill value."""

    def __init__(self, files: Files, names: frozenset[str], path: str, *, sparse: bool) -> None:
        self._meta = meta = _read_meta(files, path)
        super().__init__(meta.shape, meta.chunks, np.dtype(meta.dtype), path)
        self._files = files
        self._names = names
        self._sparse = sparse
        self._packed_bytes = self._unpacked_bytes = 0

    def _chunk(self, index: tuple[int, ...]) -> np.ndarray:
        meta = self._meta
        name = f"{self._name}/{meta.dimension_separator.join(map(str, index))}"
        if name not in self._names:
            if not self._sparse:
                raise damaged(name, "the chunk is missing")
            return np.full(meta.chunks, meta.fill_value or 0, self.dtype)
        size = int(np.prod(meta.chunks)) * self.dtype.itemsize
        packed = self._files.read(name, limit=2 * size + 4096)
        self._check_ratio(name, len(packed), size)
        try:
            data = unfiltered(unpacked(packed, size, meta.compressor), meta.filters or ())
            return np.frombuffer(data, self.dtype).reshape(meta.chunks, order=meta.order)
        except BROKEN as error:
            raise damaged(name, error) from error

    def _check_ratio(self, name: str, packed: int, size: int) -> None:
        """The archive's limit on expansion, for what is packed inside its entries."""
        self._packed_bytes += packed
        self._unpacked_bytes += size
        limits = DEFAULT_LIMITS
        if self._unpacked_bytes > max(limits.ratio_free_bytes, limits.ratio * self._packed_bytes):
            raise damaged(name, f"chunks expand more than {limits.ratio:.0f} times")


def _read_meta(files: Files, path: str) -> _ArrayMeta:
    name = f"{path}/.zarray"
    raw = files.read(name, _META_BYTES)
    try:
        meta = _ArrayMeta.model_validate_json(raw)
        dtype = np.dtype(meta.dtype)
    except (ValidationError, TypeError, ValueError, SyntaxError) as error:
        raise damaged(name, error) from error
    if dtype.kind not in "buif":
        raise EpisodeError("object_array", path, f"holds {dtype} values", fix="store plain numbers")
    check_codecs(meta.compressor, meta.filters or (), path)
    if len(meta.shape) != len(meta.chunks):
        raise damaged(name, "shape and chunks differ in length")
    if slab_bytes(meta.shape, meta.chunks, dtype) > MOST_SLAB_BYTES:
        raise damaged(name, f"{meta.chunks[0]} rows of chunks take more than 1 GiB")
    return meta
