"""How far apart in time the values of one frame were logged, for logs of several clocks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.data.codes import Remark
from core.data.readers.base import EpisodeRef, Field, Fields
from core.data.readers.timed import Method, Timed

_PERIODS = 3.0
"""Values older than so many of their own periods, or frames, come from a stream that stalled."""


@dataclass
class _Ages:
    """Seconds between frames and the values used for them."""

    total: float = 0.0
    count: int = 0
    most: float = -1.0
    at: tuple[EpisodeRef, int] | None = None


class SkewReport:
    """Collects the ages of looked-up values."""

    def __init__(self, method: Method) -> None:
        self._method: Method = method
        self._ages: dict[Field, _Ages] = {}

    def add(self, fields: Fields, ticks: np.ndarray, ref: EpisodeRef) -> Iterator[Remark]:
        """Remarks on fields whose stream stalled; `ticks` (L,) are the times of the frames."""
        frame = float(np.median(np.diff(ticks))) if len(ticks) > 1 else 0.0
        for name, rows in fields.items():
            if not isinstance(rows.rows, Timed):
                continue
            ages = rows.rows.age(ticks, self._method)
            at = int(np.argmax(ages))
            self._note(name, ages, at, ref)
            if ages[at] > _PERIODS * max(frame, rows.rows.period):
                yield Remark(
                    "clock_skew",
                    f"{name}: the value used at frame {at} was logged {ages[at]:.2f} s away",
                    "check whether the topic fell silent; set a smaller episode_gap to cut there",
                    file=ref.file,
                    episode=ref.number,
                    frame=at,
                )

    def summary(self) -> Iterator[Remark]:
        """How old the values of each field are, over the whole upload."""
        for name, ages in self._ages.items():
            if ages.at is None:
                continue
            ref, frame = ages.at
            yield Remark(
                "clock_skew",
                f"{name}: values were logged {1000 * ages.total / ages.count:.0f} ms from their "
                f"frame on average, {1000 * ages.most:.0f} ms at most",
                "nothing to do if that is fine for the robot",
                "info",
                ref.file,
                ref.number,
                frame,
            )

    def _note(self, name: Field, ages: np.ndarray, at: int, ref: EpisodeRef) -> None:
        kept = self._ages.setdefault(name, _Ages())
        kept.total += float(ages.sum())
        kept.count += len(ages)
        if ages[at] > kept.most:
            kept.most, kept.at = float(ages[at]), (ref, at)
