"""The news of one job: metric lines, progress and state, as they are written."""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from api import files
from api.deps import Services
from api.views import job_replies
from core.jobs.replies import Event, Job, Metric, Progress


@dataclass
class MetricsTail:
    """Follows metrics.jsonl from line to line.

    A resumed run rewinds its file: then lines come again from the first one, and a reader
    replaces those it has by their number.
    """

    path: Path
    line: int = 0
    _position: int = field(default=0, init=False)
    _inode: int | None = field(default=None, init=False)

    def read(self, most: int = 500) -> list[Metric]:
        """Whole lines that are new since the last call, at most so many."""
        try:
            with self.path.open("rb") as file:
                self._find_place(file)
                return list(self._lines(file, most))
        except FileNotFoundError:
            return []

    def _find_place(self, file: io.BufferedReader) -> None:
        inode, size = _identity(file)
        if self._inode is None:  # skip what the reader says it has
            self._inode, skip, self.line = inode, self.line, 0
            while self.line < skip and file.readline().endswith(b"\n"):
                self.line, self._position = self.line + 1, file.tell()
            if self.line < skip:
                self.line, self._position = 0, 0
        elif inode != self._inode or size < self._position:
            self._inode, self.line, self._position = inode, 0, 0
        file.seek(self._position)

    def _lines(self, file: io.BufferedReader, most: int) -> Iterator[Metric]:
        for _ in range(most):
            text = file.readline()
            if not text.endswith(b"\n"):
                return
            self.line, self._position = self.line + 1, file.tell()
            yield files.metric(self.line, text)


class JobNews:
    """Compares a job with what was told before; each call of `read` touches disk and database."""

    def __init__(self, s: Services, job_id: str, after: int) -> None:
        self._s, self._id = s, job_id
        self._metrics = MetricsTail(s.artifacts.run(job_id) / "metrics.jsonl", after)
        self._progress: Progress | None = None
        self._told: tuple[object, ...] = ()

    def read(self) -> list[Event]:
        """What is new; the state of an ended job comes last, after all of its metrics."""
        (job,) = job_replies(self._s, [self._s.store.get(self._id)])
        events = [_event("metric", m) for m in self._metrics.read()]
        if job.progress is not None and job.progress != self._progress:
            self._progress = job.progress
            events.append(_event("progress", job.progress))
        if events and job.ended:
            return events  # look again: more lines may be waiting
        if (state := _state(job)) != self._told:
            self._told = state
            events.append(_event("state", job))
        return events


def _state(job: Job) -> tuple[object, ...]:
    return job.status, job.attempt, job.cancel_requested, tuple(job.waiting_for)


def _event(name: str, data: Metric | Progress | Job) -> Event:
    return Event.model_validate({"event": name, "data": data.model_dump(mode="json")})


def _identity(file: io.BufferedReader) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_ino, status.st_size
