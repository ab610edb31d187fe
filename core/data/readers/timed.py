"""Values with a clock of their own, looked up at the times of the frames."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

Method = Literal["hold", "nearest", "interpolate"]


class Stream:
    """Values (M, C) logged at rising `times` (M,) in seconds, M > 0."""

    def __init__(self, times: np.ndarray, values: np.ndarray) -> None:
        self.times = times
        self.values = values

    def at(self, ticks: np.ndarray, method: Method) -> np.ndarray:
        """(N, C): the value before each tick, the nearer one, or the line between two."""
        if method == "interpolate":
            return mixed(self.values, self.times, ticks)
        return np.asarray(self.values[self._rows(ticks, method)])

    def age(self, ticks: np.ndarray, method: Method) -> np.ndarray:
        """(N,) seconds between each tick and the value used; for a line, the nearer end."""
        rows = self._rows(ticks, "nearest" if method == "interpolate" else method)
        return np.asarray(np.abs(ticks - self.times[rows]))

    def _rows(self, ticks: np.ndarray, method: Method) -> np.ndarray:
        find = rows_near if method == "nearest" else rows_before
        return find(self.times, ticks)


class Timed:
    """A stream, or several side by side, as rows: what holds at the time of every frame."""

    def __init__(self, streams: Sequence[Stream], frame_times: np.ndarray) -> None:
        self.streams = tuple(streams)
        self._ticks = frame_times
        self.shape = (len(frame_times), sum(s.values.shape[1] for s in streams))
        self.dtype = np.dtype(np.float64)

    @property
    def period(self) -> float:
        """Seconds between two values, of the slowest stream."""
        steps = [np.median(np.diff(s.times)) for s in self.streams if len(s.times) > 1]
        return float(max(steps, default=0.0))

    def read(self, start: int, stop: int) -> np.ndarray:
        return self.at(self._ticks[start:stop], "hold")

    def at(self, ticks: np.ndarray, method: Method) -> np.ndarray:
        """(N, C) at every tick."""
        return np.concatenate([s.at(ticks, method) for s in self.streams], axis=1)

    def age(self, ticks: np.ndarray, method: Method) -> np.ndarray:
        """(N,) seconds to the value used, of the stream that is furthest off."""
        return np.asarray(np.max([s.age(ticks, method) for s in self.streams], axis=0))


def rows_before(times: np.ndarray, ticks: np.ndarray, late: float = 0.0) -> np.ndarray:
    """The last row at or before each tick; the first row if there is none."""
    return (np.searchsorted(times, ticks + late, side="right") - 1).clip(0, len(times) - 1)


def rows_near(times: np.ndarray, ticks: np.ndarray) -> np.ndarray:
    """The row nearest to each tick, the earlier of two."""
    before = rows_before(times, ticks)
    after = np.minimum(before + 1, len(times) - 1)
    return np.where(times[after] - ticks < ticks - times[before], after, before)


def mixed(values: np.ndarray, times: np.ndarray, ticks: np.ndarray) -> np.ndarray:
    """Values (L, ...) at `times` on straight lines between them, at every tick."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    columns = [np.interp(ticks, times, column) for column in flat.T]
    return np.stack(columns, 1).reshape(len(ticks), *values.shape[1:])
