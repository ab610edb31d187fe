"""Rows that hold a JPEG or PNG picture each."""

import numpy as np

from core.data.episode import EpisodeError
from core.data.pictures import decoded, kind_of, size_of
from core.data.readers.base import Rows
from core.data.readers.files import damaged

_LEAST_BYTES = 64
"""Of a row that may hold a picture; shorter rows are numbers."""


class PackedPictures:
    """Pictures of one size, (N, H, W, 3) u8 RGB; the first one's header gives the size."""

    dtype = np.dtype(np.uint8)

    def __init__(self, rows: Rows, name: str, encoding: str, size: tuple[int, int]) -> None:
        self.encoding = encoding
        self.shape = (rows.shape[0], *size, 3)
        self._rows = rows
        self._name = name

    def read(self, start: int, stop: int) -> np.ndarray:
        packed = self._rows.read(start, stop)
        frames = np.empty((len(packed), *self.shape[1:]), np.uint8)
        for i, row in enumerate(packed):
            try:
                picture = decoded(bytes(row))
            except ValueError as error:
                raise damaged(f"{self._name}, row {start + i}", error) from error
            if picture.shape != self.shape[1:]:
                height, width = picture.shape[:2]
                raise damaged(
                    f"{self._name}, row {start + i}",
                    f"{width} x {height} pixels where the first row has "
                    f"{self.shape[2]} x {self.shape[1]}",
                )
            frames[i] = picture
        return frames


def pictures_or_numbers(rows: Rows, name: str) -> Rows:
    """The pictures that rows of bytes hold, or the rows themselves if they hold numbers."""
    only_bytes = rows.dtype.kind in "SO"
    wide = rows.dtype == np.uint8 and len(rows.shape) == 2 and rows.shape[1] >= _LEAST_BYTES
    if rows.shape[0] and (only_bytes or wide):
        first = bytes(rows.read(0, 1)[0])
        if encoding := kind_of(first):
            try:
                return PackedPictures(rows, name, encoding, size_of(first))
            except ValueError as error:
                raise damaged(f"{name}, row 0", error) from error
    if only_bytes:
        raise EpisodeError(
            "object_array",
            name,
            "holds texts or rows of different length",
            fix="store plain numbers, or pictures as JPEG or PNG bytes",
        )
    return rows
