"""An episode at another rate: what was seen, felt and commanded at every tick of a new clock."""

import numpy as np

from core.data.dataset import ActionKind
from core.data.readers.base import Field, Fields, RowSlice
from core.data.readers.timed import Method, Timed, mixed, rows_before, rows_near
from core.data.trim import Held

_BLOCK_BYTES = 8 << 20
_EARLY = 1e-6
"""Share of a period that a row may be late and still count for its tick."""


def resampled(
    fields: Fields, times: np.ndarray, fps: float, method: Method, kind: ActionKind
) -> tuple[Fields, "Clock"]:
    """Fields at ticks `fps` per second, from rows at `times` (L,) in rising seconds, and the clock
    that says which row is seen at each tick.

    Pictures and labels are the earlier (hold) or nearer row. State is mixed if so asked. An action
    holds until the next row: absolute ones are looked up like the state, while changes and rewards
    are summed over the time between two ticks, so that nothing that was done gets lost. Values
    with a clock of their own are commands and readings that hold, of either kind: looked up.
    """
    clock = Clock(times, fps, method)
    out: dict[Field, RowSlice] = {"image": _picked(fields["image"], clock.rows)}
    for name, rows in fields.items():
        if isinstance(rows.rows, Timed):
            out[name] = Held.slice(rows.rows.at(clock.ticks, method))
        elif name != "image":
            out[name] = Held.slice(_numbers(name, rows.read(), clock, kind))
    return out, clock


def synced(fields: Fields, times: np.ndarray, method: Method) -> Fields:
    """Fields whose values all belong to the frames at `times` (L,)."""
    return {
        f: Held.slice(r.rows.at(times, method)) if isinstance(r.rows, Timed) else r
        for f, r in fields.items()
    }


class Clock:
    """Ticks, and the row that is seen at each."""

    def __init__(self, times: np.ndarray, fps: float, method: Method) -> None:
        self.times = times
        self.ticks = times[0] + np.arange(int((times[-1] - times[0]) * fps + _EARLY) + 1) / fps
        self.held = rows_before(times, self.ticks, _EARLY / fps)
        self.rows = rows_near(times, self.ticks) if method == "nearest" else self.held
        self.mixes = method == "interpolate"

    def looked_up(self, values: np.ndarray) -> np.ndarray:
        """Values (L, ...) at every tick."""
        return mixed(values, self.times, self.ticks) if self.mixes else values[self.rows]

    def summed(self, values: np.ndarray) -> np.ndarray:
        """Sum of values (L - 1, ...) between every two ticks; what is left over joins the last."""
        flat = values.astype(np.float64)
        running = np.concatenate([np.zeros_like(flat[:1]), np.cumsum(flat, axis=0)])
        at_ticks = mixed(running, self.times, self.ticks)
        at_ticks[-1] = running[-1]
        return np.asarray(np.diff(at_ticks, axis=0))

    def any(self, values: np.ndarray) -> np.ndarray:
        """Whether one of the values (L - 1,) between every two ticks is not 0."""
        running = np.concatenate([[0], np.cumsum(values != 0)])
        at_ticks = running[self.held]
        at_ticks[-1] = running[-1]
        return np.asarray(np.diff(at_ticks) > 0)


def _numbers(name: Field, values: np.ndarray, clock: Clock, kind: ActionKind) -> np.ndarray:
    steps = len(clock.times) - 1
    if name == "time":
        return np.asarray(clock.ticks)
    if name == "success":
        return np.asarray(_labels(values, steps + 1)[clock.rows])
    if name == "state":
        return clock.looked_up(values)
    if name == "terminated":
        return clock.any(values[:steps].reshape(steps))
    if name == "action" and kind == "absolute":
        command = values if len(values) > steps else np.concatenate([values, values[-1:]])
        return np.asarray(clock.looked_up(command)[:-1])
    return clock.summed(values[:steps])


def _labels(values: np.ndarray, length: int) -> np.ndarray:
    """One label per frame of what may be one per step or one in all."""
    missing = max(length - len(values), 0)
    return np.concatenate([np.zeros((missing, *values.shape[1:]), values.dtype), values])[:length]


def _picked(image: RowSlice, index: np.ndarray) -> RowSlice:
    return RowSlice(_Picked(image, index), 0, len(index))


class _Picked:
    """Rows of another array by rising index, read in pieces that fit in memory."""

    def __init__(self, rows: RowSlice, index: np.ndarray) -> None:
        self._rows = rows
        self._index = index
        self.shape = (len(index), *rows.shape[1:])
        self.dtype = rows.rows.dtype
        row_bytes = int(np.prod(self.shape[1:], dtype=object)) * self.dtype.itemsize
        self._most = max(1, _BLOCK_BYTES // max(1, row_bytes))

    def read(self, start: int, stop: int) -> np.ndarray:
        wanted = self._index[start:stop]
        parts = []
        at = 0
        while at < len(wanted):
            first = int(wanted[at])
            until = max(int(np.searchsorted(wanted, first + self._most)), at + 1)
            block = self._rows.read(first, int(wanted[until - 1]) + 1)
            parts.append(block[wanted[at:until] - first])
            at = until
        return np.concatenate(parts) if parts else np.empty((0, *self.shape[1:]), self.dtype)
