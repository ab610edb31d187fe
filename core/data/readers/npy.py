"""Arrays of an npz file, read by rows from a checked archive; nothing is ever unpickled."""

import zipfile
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from core.data.episode import EpisodeError
from core.data.readers.archive import DEFAULT_LIMITS, BadArchive, Limits, open_archive
from core.data.readers.files import UNREADABLE, damaged

_MOST_FORTRAN_BYTES = 1 << 30
_SKIP_BYTES = 1 << 20
_HEADERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


class Npz:
    """The arrays of one npz file, by key. Closes the stream it was given."""

    def __init__(self, file: IO[bytes], name: str, limits: Limits = DEFAULT_LIMITS) -> None:
        self._name = name
        self._file = file
        self._rows: dict[str, NpyRows] = {}
        try:
            self._archive = open_archive(file, limits)
        except BadArchive as error:
            file.close()
            raise EpisodeError(
                "unreadable", name, str(error), fix="save the episode again with numpy.savez"
            ) from error
        infos = self._archive.infolist()
        self._infos = {i.filename.removesuffix(".npy"): i for i in infos}

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self._infos)

    def rows(self, key: str) -> "NpyRows":
        """The array of a key; `EpisodeError` if its header is broken or it holds objects."""
        if key not in self._rows:
            self._rows[key] = NpyRows(self._archive, self._infos[key], f"{self._name}:{key}")
        return self._rows[key]

    def close(self) -> None:
        for rows in self._rows.values():
            rows.close()
        self._archive.close()
        self._file.close()


class NpyRows:
    """One npy array inside an archive."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> None:
        self._archive = archive
        self._info = info
        self._name = name
        self._whole: np.ndarray | None = None
        self._stream = self._open()
        self._at = 0
        try:
            self.shape, fortran, self.dtype = self._header()
            self._check(fortran)
            if fortran and len(self.shape) > 1:
                self._whole = self._next(self.shape[0]).reshape(self.shape[::-1]).T
        except BaseException:
            self.close()
            raise

    def read(self, start: int, stop: int) -> np.ndarray:
        if self._whole is not None:
            return self._whole[start:stop]
        if start < self._at:
            self._rewind()
        self._skip(start - self._at)
        return self._next(stop - start).reshape(-1, *self.shape[1:])

    def close(self) -> None:
        self._stream.close()

    def _open(self) -> IO[bytes]:
        try:
            return self._archive.open(self._info)
        except UNREADABLE as error:
            raise damaged(self._name, error) from error

    def _rewind(self) -> None:
        self.close()
        self._stream = self._open()
        self._header()
        self._at = 0

    def _header(self) -> tuple[tuple[int, ...], bool, np.dtype]:
        try:
            version = npy_format.read_magic(self._stream)
            if version not in _HEADERS:
                raise ValueError(f"npy version {version} is for named columns")
            shape, fortran, dtype = _HEADERS[version](self._stream)
        except (*UNREADABLE, ValueError, TypeError, SyntaxError, RecursionError) as error:
            raise damaged(self._name, error) from error
        return shape, fortran, dtype

    def _check(self, fortran: bool) -> None:
        if self.dtype.kind not in "buif":
            raise EpisodeError(
                "object_array",
                self._name,
                f"holds {self.dtype} values",
                fix="save plain numbers; ragged lists of arrays become one file per episode",
            )
        # A header may promise any size; memory is reserved only for what the file really holds.
        values = int(np.prod(self.shape, dtype=object))
        promised = values * self.dtype.itemsize
        room = self._info.file_size - self._stream.tell()
        if promised != room:
            raise damaged(self._name, f"the header says {promised} bytes, the file has {room}")
        if not self.shape:
            self.shape = (1,)
        if fortran and promised > _MOST_FORTRAN_BYTES:
            raise damaged(self._name, "a large array in Fortran order; save it in C order")

    def _skip(self, count: int) -> None:
        left = count * self._row_bytes
        while left:
            left -= len(self._bytes(min(left, _SKIP_BYTES)))
        self._at += count

    def _next(self, count: int) -> np.ndarray:
        """The next rows, flat."""
        data = self._bytes(count * self._row_bytes)
        self._at += count
        return np.frombuffer(data, self.dtype)

    @property
    def _row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def _bytes(self, count: int) -> bytes:
        try:
            data = self._stream.read(count)
        except UNREADABLE as error:
            raise damaged(self._name, error) from error
        if len(data) < count:
            raise damaged(self._name, "it ends early")
        return data
