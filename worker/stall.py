"""Tells a job process that hangs from one that is slow."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import psutil

_REPORTS = ("progress.json", "metrics.jsonl")


class Stall:
    """Watches a job process for signs of life: it reports something, or computes.

    Neither is seen of one that waits for ever: for a driver, a network share or a lock. One that is
    slow, or busy with what it does not report, computes.
    """

    def __init__(
        self, pid: int, run: Path, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pid, self._run, self._seconds, self._clock = pid, run, seconds, clock
        self._seen, self._since = self._signs(), clock()

    def lasts(self) -> bool:
        """Whether there was no sign for `seconds`. To be asked far more often than that."""
        signs, now = self._signs(), self._clock()
        if signs != self._seen:
            self._seen, self._since = signs, now
        return now - self._since >= self._seconds

    def _signs(self) -> tuple[int, ...]:
        """Whole seconds: the thread that watches the lifeline needs a little time for ever."""
        written = [_changed(self._run / name) for name in _REPORTS]
        return (int(processor_seconds(self._pid)), *written)


def processor_seconds(pid: int) -> float:
    """What a process and all below it have used; 0 if it is gone."""
    seconds = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                seconds += sum(each.cpu_times()[:4])  # of those that ended below it, too
    return seconds


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
