"""How long running jobs have been silent, by this process's own clock alone."""

import threading
import time
from collections.abc import Callable, Iterable

from core.jobs.records import Silence


class Heartbeats:
    """Looks at counters, like the reaper: no two clocks are compared. Look every few seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since: dict[tuple[str, int, int], float] = {}

    def look(self, running: Iterable[Silence]) -> dict[str, float]:
        """Seconds since each job's counter was first seen as it is, by job id."""
        now = self._clock()
        with self._lock:
            self._since = {
                beat: self._since.get(beat, now)
                for beat in ((j.id, j.epoch, j.hb_seq) for j in running)
            }
            return {beat[0]: now - since for beat, since in self._since.items()}
