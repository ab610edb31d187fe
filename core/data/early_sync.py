"""Lets the disk work while a large file is still being written, and leaves memory to others."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from core.artifacts import sync

_EVERY_BYTES = 32 << 20


class EarlySync:
    """Syncs files in a thread of its own; one who syncs them at the end then waits for little.

    What is on the disk leaves the system's page cache: it would drive out what trainings beside it
    read, and a virtual machine pays much more for memory that is new to it than for its own again.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "early-sync")
        self._written = 0
        self._running: Future[None] | None = None

    def wrote(self, file: BinaryIO, count: int) -> None:
        """Tell of bytes written; `OSError` if earlier ones did not reach the disk."""
        self._written += count
        if self._written >= _EVERY_BYTES and (self._running is None or self._running.done()):
            self.wait()
            self._written = 0
            file.flush()
            self._running = self._thread.submit(_settle, Path(file.name))

    def wait(self) -> None:
        """Until what was begun is done; `OSError` if it failed."""
        if self._running:
            self._running.result()
            self._running = None

    def close(self) -> None:
        """End the thread; files may be closed after this."""
        self._thread.shutdown()


def _settle(path: Path) -> None:
    sync(path)
    if hasattr(os, "posix_fadvise"):  # not on every system
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
