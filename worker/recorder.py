"""The recorder of a job process: files in the run folder that the service reads."""

import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from core.recorder import Cancelled
from core.stop_flag import StopFlag

_RATE_WINDOW_SECONDS = 60.0
_PROGRESS_EVERY_SECONDS = 0.2


class FileRecorder:
    """Appends to `metrics.jsonl`, replaces `progress.json`, raises when `stop` is set.

    New files are made in `private`, a folder of this attempt. A later attempt takes it away, so
    that what a paused process still writes when it wakes up goes nowhere.
    """

    def __init__(
        self,
        run: Path,
        stop: StopFlag,
        clock: Callable[[], float] = time.monotonic,
        *,
        private: Path | None = None,
    ) -> None:
        self._metrics = run / "metrics.jsonl"
        self._progress = run / "progress.json"
        self._stop = stop
        self._private = private or run
        self._clock = clock
        self._rate = Rate()
        self._written_at = -math.inf
        self._first_at: float | None = None
        self._last_at: float | None = None
        _drop_torn_line(self._metrics)
        self._file = self._metrics.open("a", encoding="utf-8")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One line per call, readable at once. Values that are not finite are left out."""
        finite = {name: float(v) for name, v in values.items() if math.isfinite(v)}
        if finite:
            self._last_at = self._clock()
            self._first_at = self._last_at if self._first_at is None else self._first_at
            record = {"step": step, "time": time.time(), "values": finite}
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()

    def progress(self, done: int, total: int, message: str = "") -> None:
        """At most five reports a second reach the disk, and always the last one."""
        now = self._clock()
        self._rate.add(now, done, total)
        if done < total and now - self._written_at < _PROGRESS_EVERY_SECONDS:
            return
        self._written_at = now
        eta = self._rate.seconds_left(done, total)
        report = {"done": done, "total": total, "message": message, "eta_seconds": eta}
        write_json(self._progress, {**report, "time": time.time()}, self._private)

    @property
    def training_seconds(self) -> float | None:
        """From the first to the last metrics of this attempt; None without two of them."""
        if self._first_at is None or self._last_at is None or self._last_at <= self._first_at:
            return None
        return self._last_at - self._first_at

    def raise_if_cancelled(self) -> None:
        if self._stop.is_set():
            raise Cancelled

    def rewind(self, step: int) -> None:
        """Drop lines of later steps. Readers see the old file or the new one, whole."""
        self._file.close()
        with self._metrics.open(encoding="utf-8") as old:
            kept = [line for line in old if json.loads(line)["step"] <= step]
        temporary = self._private / "metrics.tmp"
        temporary.write_text("".join(kept), encoding="utf-8")
        temporary.replace(self._metrics)
        self._file = self._metrics.open("a", encoding="utf-8")

    def close(self) -> None:
        self._file.close()


class Rate:
    """Speed over the last minute, so that a resumed or uneven run is not judged by its start."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()
        self._total = -1

    def add(self, now: float, done: int, total: int) -> None:
        samples = self._samples
        if total != self._total or (samples and done < samples[-1][1]):
            samples.clear()  # a new phase
            self._total = total
        samples.append((now, done))
        while len(samples) > 2 and now - samples[0][0] > _RATE_WINDOW_SECONDS:
            samples.popleft()

    def seconds_left(self, done: int, total: int) -> float | None:
        """None until something was done."""
        if done >= total:
            return 0.0
        if not self._samples:
            return None
        (begin, first), (end, last) = self._samples[0], self._samples[-1]
        if last <= first or end <= begin:
            return None
        return (total - done) * (end - begin) / (last - first)


def write_json(path: Path, content: object, beside: Path | None = None) -> None:
    """Replace a JSON file; a reader sees the old one or the new one. `beside`: where to make it."""
    temporary = (beside or path.parent) / f".{path.name}.tmp"
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(path)


def _drop_torn_line(path: Path) -> None:
    """Cut what a killed writer left after the last whole line."""
    path.touch()
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
            os.fsync(file.fileno())
