"""Arrays that are stored in chunks, read by rows."""

from abc import ABC, abstractmethod
from itertools import product

import numpy as np

MOST_SLAB_BYTES = 1 << 30


class ChunkedRows(ABC):
    """Keeps the row of chunks that was decoded last, so that reading in order decodes once."""

    def __init__(
        self, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype, name: str
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self._name = name
        self._chunks = chunks
        self._slab: tuple[int, np.ndarray] | None = None

    @abstractmethod
    def _chunk(self, index: tuple[int, ...]) -> np.ndarray:
        """The chunk at a place of the grid, whole even at the border of the array."""

    @property
    def rows_per_chunk(self) -> int:
        """What must be unpacked to read one row."""
        return self._chunks[0]

    def read(self, start: int, stop: int) -> np.ndarray:
        height = self._chunks[0]
        parts = []
        for i in range(start // height, -(-stop // height)):
            slab = self._slab_of(i)
            parts.append(slab[max(0, start - i * height) : stop - i * height])
        if not parts:
            return np.empty((0, *self.shape[1:]), self.dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _slab_of(self, i: int) -> np.ndarray:
        """All chunks with first index i, joined: (rows of a chunk, *shape[1:])."""
        if self._slab is None or self._slab[0] != i:
            self._slab = (i, self._decoded_slab(i))
        return self._slab[1]

    def _decoded_slab(self, i: int) -> np.ndarray:
        inner, sizes = self._chunks[1:], self.shape[1:]
        counts = [-(-size // chunk) for size, chunk in zip(sizes, inner, strict=True)]
        if inner == sizes:
            return self._chunk((i, *(0 for _ in counts)))
        slab = np.empty((self._chunks[0], *sizes), self.dtype)
        for index in product(*map(range, counts)):
            chunk = self._chunk((i, *index))
            corner = [n * c for n, c in zip(index, inner, strict=True)]
            place = tuple(slice(a, a + c) for a, c in zip(corner, inner, strict=True))
            kept = tuple(slice(0, s - a) for a, s in zip(corner, sizes, strict=True))
            slab[(slice(None), *place)] = chunk[(slice(None), *kept)]
        return slab


def slab_bytes(shape: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype) -> int:
    """What one row of chunks takes in memory."""
    rows = (chunks[0], *map(max, shape[1:], chunks[1:]))
    return int(np.prod(rows, dtype=object)) * dtype.itemsize
