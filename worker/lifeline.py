"""The pipe between the launcher and the job process: a byte per heartbeat, its end means stop.

A parent-death signal alone would miss a launcher that is paused or has lost its claim.
"""

import contextlib
import ctypes
import math
import os
import select
import signal
import threading
import time
from collections.abc import Callable

from core.stop_flag import StopFlag

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, signum: int = signal.SIGTERM) -> None:
    """Have the kernel send `signum` to this process when its parent dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signum)


class Lifeline(threading.Thread):
    """Watches the pipe in the job process; nothing that the job started can outlive it.

    Sets `stopping` at the pipe's end, or after `silence` seconds without a byte, which leaves
    the job `ORPHAN_GRACE` seconds to save. Once `stopping` is set, by this or by a signal, the
    whole process group is killed after `grace` seconds at the latest.
    """

    ORPHAN_GRACE = 8.0

    def __init__(
        self,
        descriptor: int,
        stopping: StopFlag,
        silence: float,
        grace: float,
        kill: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name="lifeline", daemon=True)
        self._descriptor = descriptor
        self._stopping = stopping
        self._silence = silence
        self._grace = grace
        self._kill = kill or kill_own_group
        self._last = time.monotonic()

    def run(self) -> None:
        deadline = math.inf
        while time.monotonic() < deadline:
            held = self._held()
            now = time.monotonic()
            if not held:
                self._stopping.set()
                deadline = min(deadline, now + self.ORPHAN_GRACE)
                time.sleep(0.1)  # the end of a pipe is readable at once, again and again
            if self._stopping.is_set():
                deadline = min(deadline, now + self._grace)
        self._kill()

    def _held(self) -> bool:
        """Wait at most half a second; False when the launcher is gone or silent for too long."""
        readable, _, _ = select.select([self._descriptor], [], [], 0.5)
        if readable:
            self._last = time.monotonic()
            return bool(os.read(self._descriptor, 4096))
        return time.monotonic() - self._last <= self._silence


def kill_companions() -> None:
    """End all other processes of this session: what the job started and did not wait for."""
    me = os.getpid()
    try:
        names = os.listdir("/proc")  # noqa: PTH208 (names only)
    except PermissionError:
        return  # a job that decodes sees no processes, and could start none
    for pid in (int(n) for n in names if n.isdigit()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if pid != me and os.getsid(pid) == me:
                os.kill(pid, signal.SIGKILL)


def kill_own_group() -> None:
    """The job process leads its own group; this ends it and all its children."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


def kill_group(leader: int) -> None:
    """End what is left of a job's process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
