"""Which ready jobs a worker should be told about now. The telling itself is the caller's."""

import time
from collections.abc import Callable

from core.jobs.records import ReadyJob
from core.jobs.spec import Kind
from core.jobs.store import Store

TASKS: dict[Kind, str] = {k: f"foglab.{k.value}" for k in Kind}
"""Name of the queue task of each kind; its only argument is the job id."""

FIRST_AFTER_SECONDS = 1.0
AGAIN_AFTER_SECONDS = 15.0


class Hints:
    """Ready jobs become due after a second, then every 15 seconds until someone claims them.

    A hint may be lost, late or doubled without harm: the row decides.
    """

    def __init__(
        self,
        store: Store,
        first_after: float = FIRST_AFTER_SECONDS,
        again_after: float = AGAIN_AFTER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._first_after = first_after
        self._again_after = again_after
        self._clock = clock
        self._due_at: dict[str, float] = {}

    def due(self) -> list[ReadyJob]:
        """Jobs to hint now; each is due again later."""
        now = self._clock()
        ready = self._store.ready_jobs()
        self._due_at = {j.id: self._due_at.get(j.id, now + self._first_after) for j in ready}
        due = [j for j in ready if self._due_at[j.id] <= now]
        self._due_at.update({j.id: now + self._again_after for j in due})
        return due
