"""Keeps a set of programs running, and takes them down with itself."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TETHER = Path(__file__).with_name("tether.py")
_LOOK_SECONDS = 0.2
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_STABLE_SECONDS = 10.0


@dataclass
class Program:
    """One program that must run; `before` is called before each start."""

    name: str
    command: Sequence[str]
    log: Path
    environ: Mapping[str, str]
    pass_fds: tuple[int, ...] = ()
    stop_seconds: float = 10.0
    before: Callable[[int], None] | None = None
    """Gets the number of quick deaths so far."""
    popen: subprocess.Popen[bytes] | None = field(default=None, init=False)
    started_at: float = field(default=0.0, init=False)
    quick_deaths: int = field(default=0, init=False)

    def start(self) -> None:
        if self.before is not None:
            self.before(self.quick_deaths)
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environ),
                pass_fds=self.pass_fds,
                start_new_session=True,  # a Ctrl-C in the terminal is ours to pass on
            )
        self.started_at = time.monotonic()

    def died(self) -> bool:
        """True when it is to be started again now: at once the first time, then ever later."""
        if self.popen is None or self.popen.poll() is None:
            return False
        now = time.monotonic()
        if now - self.started_at > _STABLE_SECONDS + self._pause():
            self.quick_deaths = 0
        return now - self.started_at >= self._pause()

    def _pause(self) -> float:
        return float(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self.quick_deaths))

    def ask_to_stop(self) -> None:
        if self.popen is not None and self.popen.poll() is None:
            self.popen.terminate()

    def end(self, deadline: float) -> None:
        """Wait until `deadline` (monotonic seconds), then kill the whole group."""
        if self.popen is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


class Supervisor(threading.Thread):
    """One thread starts, watches and stops all programs.

    The kernel ties a child to the life of the thread that started it, so this one lives as long
    as the programs shall.
    """

    def __init__(self, programs: Sequence[Program], changed: Callable[[dict[str, int]], None]):
        super().__init__(name="supervisor", daemon=True)
        self.programs = programs
        self._changed = changed
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            for program in self.programs:
                program.start()
            self._changed(self.pids())
            while not self._stopping.wait(_LOOK_SECONDS):
                self._revive()
        finally:
            self._stop_all()

    def stop(self) -> None:
        """Stop the programs, the last one first, and wait for them."""
        self._stopping.set()
        if self.is_alive():
            self.join()

    def pids(self) -> dict[str, int]:
        """Process id of each program, as last started."""
        return {p.name: p.popen.pid for p in self.programs if p.popen is not None}

    def _revive(self) -> None:
        dead = [p for p in self.programs if p.died()]
        for program in dead:
            program.quick_deaths += 1
            program.start()
        if dead:
            self._changed(self.pids())

    def _stop_all(self) -> None:
        """All at once, but the first program (the broker) after the others."""
        for group in (self.programs[1:], self.programs[:1]):
            for program in group:
                program.ask_to_stop()
            now = time.monotonic()
            for program in group:
                program.end(now + program.stop_seconds)
