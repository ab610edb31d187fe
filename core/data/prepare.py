"""One episode of a log made fit: checked against its clock, resampled, conformed, trimmed."""

from dataclasses import dataclass, replace

import numpy as np

from core.data import clock
from core.data.checks import check_pictures, padding
from core.data.codes import Remark
from core.data.conform import Conformer
from core.data.dataset import ActionKind
from core.data.episode import Episode, EpisodeError, check_finite
from core.data.readers.base import EpisodeRef, Fields
from core.data.readers.timed import Timed
from core.data.resample import resampled, synced
from core.data.skew import SkewReport
from core.data.trim import better_part, check_lengths, window
from core.jobs.spec import IngestSpec

_MOST_CUTS = 32


@dataclass(frozen=True)
class Prepared:
    """An episode and how it came to be."""

    episode: Episode
    rows: np.ndarray
    """(L,) the logged frame that each frame was."""
    doubts: list[Remark]
    cuts: list[EpisodeError]
    """What had to be cut off, if anything."""


class Preparer:
    """Makes episodes of fields. `fps` and `kind` are those of the logs."""

    def __init__(self, spec: IngestSpec, fps: float, kind: ActionKind) -> None:
        self.conformer = Conformer(spec)
        self.skew = SkewReport(spec.resample)
        self._spec = spec
        self._fps = fps
        self._kind = kind
        self._trims = spec.bad_episodes == "trim"

    def prepare(self, fields: Fields, ref: EpisodeRef) -> Prepared:
        """The episode, or its best part if `bad_episodes` is trim; `EpisodeError` says, in
        logged frames, what is wrong with it."""
        start = 0
        cuts: list[EpisodeError] = []
        while True:
            try:
                return self._whole(fields, ref, start, cuts)
            except EpisodeError as error:
                trims = self._trims and len(cuts) < _MOST_CUTS
                part = better_part(fields, error, start) if trims else None
                if part is None:
                    raise
                cuts.append(error)
                fields = window(fields, *part)
                start += part[0]

    def _whole(
        self, fields: Fields, ref: EpisodeRef, start: int, cuts: list[EpisodeError]
    ) -> Prepared:
        """The episode of all rows; `start` is the logged frame that they begin with."""
        rows = start + np.arange(len(fields["image"]))
        try:
            times, found = self._clocked(fields, ref)
            doubts = [replace(d, frame=start + (d.frame or 0)) for d in found]
            found = []
            timeless: Fields = {f: v for f, v in fields.items() if f != "time"}
            if self._spec.target_fps and len(rows) > 1:
                times = np.arange(len(rows)) / self._fps if times is None else times
                check_lengths(timeless)
                method = self._spec.resample
                ticked = resampled(timeless, times, self._spec.target_fps, method, self._kind)
                found = list(self.skew.add(timeless, ticked[1].ticks, ref))
                timeless, rows = ticked[0], rows[ticked[1].rows]
            elif times is not None:
                found = list(self.skew.add(timeless, times, ref))
                timeless = synced(timeless, times, self._spec.resample)
            doubts += [replace(d, frame=int(rows[d.frame or 0])) for d in found]
            episode = self.conformer.episode(timeless, _source(ref, rows if cuts else None))
            check_pictures(episode.frames)
            if filling := padding(episode):
                if self._trims:
                    raise filling
                _say_logged_frame(filling, rows)
                doubts.append(doubt(filling, ref))
        except EpisodeError as error:
            _say_logged_frame(error, rows)
            raise
        return Prepared(episode, rows, doubts, cuts)

    def _clocked(self, fields: Fields, ref: EpisodeRef) -> tuple[np.ndarray | None, list[Remark]]:
        """Seconds of every frame, if they are logged, and what is doubtful about them."""
        if "time" not in fields or len(fields["image"]) < 2:
            return None, []
        stamps = fields["time"].read().reshape(len(fields["time"]), -1)[:, 0]
        if len(stamps) != len(fields["image"]):
            raise EpisodeError(
                "length_mismatch",
                "time",
                f"has {len(stamps)} rows for {len(fields['image'])} frames",
                fix="store one time stamp per frame",
            )
        check_finite("time", stamps)
        # Values with a clock of their own are looked up by it, and it counts seconds.
        own = any(isinstance(r.rows, Timed) for r in fields.values())
        times = stamps if own else clock.seconds(stamps)
        if times is None:
            return None, []
        clock.check_order(times)
        missing = clock.gap(times, self._fps)
        if missing and self._trims:
            raise missing
        if missing:
            return times, [doubt(missing, ref)]
        return times, list(clock.skew(times, self._fps, self._spec.time_tolerance, ref))


def doubt(error: EpisodeError, ref: EpisodeRef) -> Remark:
    """The remark of a problem that an episode can be kept with."""
    return Remark(
        error.code,
        f"{error.field}: {error.message}",
        error.fix,
        file=ref.file,
        episode=ref.number,
        frame=error.frame,
    )


def _say_logged_frame(error: EpisodeError, rows: np.ndarray) -> None:
    if error.frame is None or not len(rows):
        return
    logged = int(rows[min(error.frame, len(rows) - 1)])
    if logged != error.frame:
        error.message += f" (frame {logged} of the log)"
        error.frame = logged


def _source(ref: EpisodeRef, kept: np.ndarray | None) -> str:
    whole = ref.file if ref.rows is None else f"{ref.file}, rows {ref.rows[0]} to {ref.rows[1] - 1}"
    return whole if kept is None or not len(kept) else f"{whole}, frames {kept[0]} to {kept[-1]}"
