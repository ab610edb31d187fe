"""Several arrays side by side as one: a state that the logs keep in pieces."""

from collections.abc import Callable, Collection

import numpy as np

from core.data.episode import EpisodeError
from core.data.readers.base import Rows, parts


def rows_of(key: str, keys: Collection[str], get: Callable[[str], Rows]) -> Rows:
    """The array of a key, or of `a, b`: the values of a and b of each row side by side."""
    return get(key) if key in keys else _Joined({k: get(k) for k in parts(key)})


class _Joined:
    def __init__(self, pieces: dict[str, Rows]) -> None:
        counts = {k: rows.shape[0] for k, rows in pieces.items()}
        if len(set(counts.values())) > 1:
            raise EpisodeError(
                "length_mismatch",
                ", ".join(pieces),
                f"differ in rows: {counts}",
                fix="join keys that have one row per frame",
            )
        self._pieces = list(pieces.values())
        width = sum(int(np.prod(p.shape[1:], dtype=object)) for p in self._pieces)
        self.shape = (next(iter(counts.values())), width)
        self.dtype = np.result_type(*(p.dtype for p in self._pieces))

    def read(self, start: int, stop: int) -> np.ndarray:
        read = [p.read(start, stop) for p in self._pieces]
        return np.concatenate([r.reshape(len(r), -1) for r in read], axis=1)


class WithLast:
    """The rows of one array, and after them the last row of another."""

    def __init__(self, rows: Rows, later: Rows) -> None:
        if rows.shape != later.shape or not rows.shape[0]:
            raise EpisodeError(
                "length_mismatch",
                "next_obs",
                f"has shape {later.shape} where obs has {rows.shape}",
                fix="record both at every step, or leave next_obs out",
            )
        self.shape = (rows.shape[0] + 1, *rows.shape[1:])
        self.dtype = rows.dtype
        self._rows = rows
        self._later = later

    def read(self, start: int, stop: int) -> np.ndarray:
        end = self.shape[0] - 1
        read = self._rows.read(start, min(stop, end))
        if stop <= end:
            return read
        return np.concatenate([read, self._later.read(end - 1, end).astype(self.dtype)])
