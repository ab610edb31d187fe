"""A worker of the harness: the launcher, one job after the other, and what each one took."""

import logging
import multiprocessing
import os
import resource
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import IO, Any

import worker.process
from core.jobs.store import Store
from core.stop_flag import StopFlag
from worker import run_job
from worker.launcher import Launcher
from worker.settings import WorkerSettings


@dataclass(frozen=True)
class Ended:
    """One job after its last attempt."""

    job_id: str
    state: str
    error: str
    attempts: int
    cpu_seconds: float
    """Of its processes."""
    peak_bytes: int
    """The largest of all its worker's job processes so far."""


def drive(
    jobs: "multiprocessing.SimpleQueue[str | None]",
    ended: "multiprocessing.SimpleQueue[Ended]",
    forked: bool,
) -> None:
    """Run jobs until None comes. With `forked`, a job's process is a copy of this one, which has
    everything imported, and runs the same `run_job.main`: a tenth of the time of a fresh one. The
    copy has one thread, so that it is confined as a fresh one is."""
    settings = WorkerSettings()
    store = Store.open(settings.environment.database_url)
    launcher = Launcher(store, settings, StopFlag())
    if forked:
        import core.stages.ingest  # noqa: F401 (for its copies)

        worker.process.subprocess = _Subprocess  # type: ignore[attr-defined]
    while (job_id := jobs.get()) is not None:
        before = _children()
        job = launcher.run(job_id)
        while job is not None and job.state == "queued":
            job = launcher.run(job_id)
        after = _children()
        job = job or store.get(job_id)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        ended.put(
            Ended(job_id, job.state, job.error or "", job.attempt, seconds, after.ru_maxrss << 10)
        )
    store.close()


def _children() -> resource.struct_rusage:
    return resource.getrusage(resource.RUSAGE_CHILDREN)


class _Forked:
    """What the launcher needs of `subprocess.Popen`."""

    def __init__(
        self,
        command: list[str],
        *,
        stdout: IO[bytes],
        pass_fds: list[int],
        env: dict[str, str],
        **_: Any,
    ) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.setsid()
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(stdout.fileno(), 1)
                os.dup2(stdout.fileno(), 2)
                for descriptor in range(3, 256):
                    if descriptor not in pass_fds:
                        _close(descriptor)
                os.environ.clear()
                os.environ.update(env)
                logging.root.handlers.clear()
                code = run_job.main(command[3:])
            finally:
                logging.shutdown()
                os._exit(code)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("job", timeout or 0)
            time.sleep(0.005)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.Signals(number))


class _Subprocess:
    """In the place of the module."""

    Popen = _Forked
    TimeoutExpired = subprocess.TimeoutExpired
    DEVNULL, STDOUT = subprocess.DEVNULL, subprocess.STDOUT


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return
