"""Finds running jobs whose worker fell silent, and gives them back to the queue."""

import time
from collections.abc import Callable

from core.jobs.records import Job, Silence
from core.jobs.store import Store

LEASE_SECONDS = 60.0
_REASON = "its worker stopped responding (killed, out of memory, or the machine went down)"


class Reaper:
    """Judges by "the heartbeat counter has not moved for a lease of my own monotonic clock".

    No two clocks are ever compared. After an outage, or a pause of this process, every worker
    has a full lease to beat again.
    """

    def __init__(
        self,
        store: Store,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._lease = lease_seconds
        self._clock = clock
        self._first_seen: dict[Silence, float] = {}
        self._last_scan: float | None = None

    def scan(self) -> list[Job]:
        """Look once; returns the jobs taken from silent workers. Call at least 4 times a lease."""
        try:
            beats = self._store.running()
        except Exception:
            self._first_seen.clear()
            raise
        now = self._clock()
        if self._last_scan is not None and now - self._last_scan > self._lease / 2:
            self._first_seen.clear()  # we were away: what happened meanwhile is not known
        self._last_scan = now
        self._first_seen = {b: self._first_seen.get(b, now) for b in beats}
        silent = [b for b, since in self._first_seen.items() if now - since >= self._lease]
        taken = [self._store.requeue_silent(b, _REASON) for b in silent]
        return [job for job in taken if job is not None]
