"""Parts of an episode: what belongs to a stretch of its frames."""

from collections.abc import Iterator

import numpy as np

from core.data.episode import MIN_FRAMES, EpisodeError
from core.data.readers.base import Field, Fields, RowSlice

_ENDS_BEFORE = frozenset({"time_gap", "time_backward"})
"""Problems between two frames: the later one can start what is kept."""
_LEAST_SHARE = 0.9
"""Fields that differ in length by more than this were recorded at different rates."""


class Held:
    """An array in memory, as rows."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        self.shape = values.shape
        self.dtype = values.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        return self._values[start:stop]

    @staticmethod
    def slice(values: np.ndarray) -> RowSlice:
        return RowSlice(Held(values), 0, len(values))


def window(fields: Fields, start: int, stop: int) -> Fields:
    """Frames start..stop with the rows of the other fields that belong to them."""
    length = len(fields["image"])
    return dict(_windowed(fields, length, start, stop))


def check_lengths(fields: Fields) -> None:
    """`EpisodeError` if a field has not one row per frame or step (labels: or one in all)."""
    length = len(fields["image"])
    for name, rows in fields.items():
        if len(rows) not in (length, length - 1) and (name, len(rows)) != ("success", 1):
            raise EpisodeError(
                "length_mismatch",
                name,
                f"has {len(rows)} rows for {length} frames",
                fix="record every field at the rate of the frames",
            )


def better_part(fields: Fields, error: EpisodeError, first: int) -> tuple[int, int] | None:
    """The longer part beside a bad place, or None if there is no such part.

    The error speaks of logged frames, `first` is the one that the fields begin with.
    """
    length = len(fields["image"])
    if error.code == "length_mismatch":
        lengths = _frames_told(fields)
        enough = min(lengths) >= max(MIN_FRAMES, _LEAST_SHARE * max(lengths))
        return (0, min(lengths)) if enough else None
    if error.frame is None or error.code == "frozen":
        return None
    bad = min(max(error.frame - first, 0), length)
    if error.code == "padding":
        return (0, bad)
    parts = [(0, bad), (min(bad + (error.code not in _ENDS_BEFORE), length), length)]
    start, stop = max(parts, key=lambda part: part[1] - part[0])
    return (start, stop) if stop - start >= MIN_FRAMES else None


def _windowed(
    fields: Fields, length: int, start: int, stop: int
) -> Iterator[tuple[Field, RowSlice]]:
    for name, rows in fields.items():
        if name == "success" and len(rows) == 1:
            # One label for all of the episode is about its end.
            kept = rows.read() if stop == length else np.zeros_like(rows.read())
            yield name, Held.slice(kept)
            continue
        per_step = len(rows) == length - 1 or (len(rows) < length and name in _PER_STEP)
        last = min(stop - per_step, len(rows))
        yield name, RowSlice(rows.rows, rows.start + start, rows.start + last)


_PER_STEP = ("action", "reward", "terminated")


def _frames_told(fields: Fields) -> list[int]:
    """Number of frames that the rows of each field speak of."""
    length = len(fields["image"])
    known = {f: r for f, r in fields.items() if f != "success"}
    return [len(r) + (f in _PER_STEP and len(r) < length) for f, r in known.items()]
