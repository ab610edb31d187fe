"""Whether this service can do its work, tried out rather than assumed."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from core.jobs.errors import StoreError
from core.jobs.presence import alive, unserved
from core.jobs.records import Overview, Worker
from core.jobs.store import Store

KEEP_SECONDS = 2.0
"""A look is kept so long: the address is open, and each look writes to the disk."""
LOW_DISK_BYTES = 5 << 30
STUCK_SECONDS = 60.0
"""A ready job is taken from the database within seconds, with or without the broker."""


@dataclass(frozen=True)
class Found:
    """`refused` says why no request can be served; `checks` are `ok` or a sentence."""

    refused: str | None = None
    checks: dict[str, str] = field(default_factory=dict)


class Readiness:
    """Safe to ask from many threads."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._clock = root, clock
        self._lock = threading.Lock()
        self._found, self._until = Found(), -1.0

    def look(self, store: Store) -> Found:
        """At most one real look in `KEEP_SECONDS`."""
        with self._lock:
            if self._clock() >= self._until:
                self._found = self._really(store)
                self._until = self._clock() + KEEP_SECONDS
            return self._found

    def _really(self, store: Store) -> Found:
        try:
            store.check_writable()
            overview, workers = store.overview(), store.list_workers()
        except StoreError:
            return Found("The database cannot be reached or written to")
        try:
            _write(self._root)
        except OSError:
            return Found("The storage cannot be written to")
        there = alive(workers, overview.now)
        checks = {
            "database": "ok",
            "storage": "ok",
            "disk": _disk(self._root),
            "workers": _workers(there),
            "queues": _queues(overview, there),
        }
        return Found(checks=checks)


def _write(root: Path) -> None:
    """A block that reaches the disk, and leaves nothing behind."""
    with tempfile.TemporaryFile(dir=root) as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())


def _disk(root: Path) -> str:
    free = shutil.disk_usage(root).free
    return "ok" if free >= LOW_DISK_BYTES else f"{free / 1e9:.1f} GB free"


def _workers(there: list[Worker]) -> str:
    missing = unserved(there)
    return f"none for {' and '.join(missing)}: such jobs wait" if missing else "ok"


def _queues(overview: Overview, there: list[Worker]) -> str:
    """A ready job that waits beside an idle worker shows that hints and polling both fail."""
    idle = {q for w in there if not w.busy for q in w.queues}
    stuck = sorted(
        q for q, w in overview.waiting.items() if w.oldest_seconds > STUCK_SECONDS and q in idle
    )
    return f"jobs of {' and '.join(stuck)} wait beside an idle worker" if stuck else "ok"
