"""The job process as its launcher holds it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from core.jobs.records import Job
from worker.lifeline import kill_group
from worker.settings import WorkerSettings

_NOT_FOR_JOBS = (
    "FOGLAB_DATABASE_URL",
    "FOGLAB_DATABASE_PASSWORD_FILE",
    "FOGLAB_BROKER_URL",
    "FOGLAB_BROKER_PASSWORD_FILE",
    "FOGLAB_TOKEN",
)
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class JobProcess:
    """A fresh process by exec, in its own session: memory returns and a crash stays in it."""

    def __init__(self, job: Job, run: Path, settings: WorkerSettings) -> None:
        self.attempt = run / f"attempt-{job.epoch}"
        self._stop_seconds = settings.stop_seconds
        self._killed_at: float | None = None
        reading, self._lifeline = os.pipe()
        os.set_blocking(self._lifeline, False)
        try:
            with (run / "log.txt").open("ab") as log:
                self._popen = subprocess.Popen(
                    _command(job, settings, reading),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[reading],
                    start_new_session=True,
                    env=_environment(settings),
                )
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(reading)

    @property
    def returncode(self) -> int | None:
        """Exit code, minus the signal's number, or None while it runs."""
        return self._popen.poll()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def wait(self, seconds: float) -> bool:
        """True when it has ended."""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def feed(self) -> None:
        """Tell the process that its claim is good; without this it stops by itself."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # it is paused, or has ended
            os.write(self._lifeline, b".")

    def ask_to_stop(self) -> None:
        """Let it save a checkpoint and leave; kill it if that takes too long. Call repeatedly."""
        now = time.monotonic()
        if self._killed_at is None:
            self._killed_at = now + self._stop_seconds
            self._popen.send_signal(signal.SIGTERM)
        elif now >= self._killed_at:
            kill_group(self.pid)

    def end(self) -> None:
        """Kill what is left of the process and its children."""
        os.close(self._lifeline)
        kill_group(self.pid)
        self._popen.wait()


def prepare(job: Job, run: Path, spec_json: str) -> None:
    """Lay out the run folder for an attempt; what earlier attempts left unfinished goes."""
    for old in run.glob("attempt-*"):
        shutil.rmtree(old, ignore_errors=True)
    (run / f"attempt-{job.epoch}" / "out").mkdir(parents=True)
    (run / "checkpoints").mkdir(exist_ok=True)
    (run / "spec.json").write_text(spec_json, encoding="utf-8")


def _command(job: Job, settings: WorkerSettings, lifeline: int) -> list[str]:
    options = {
        "--output": job.output_id,
        "--parent": os.getpid(),
        "--lifeline": lifeline,
        "--silence": settings.give_up_seconds,
        "--grace": settings.stop_seconds,
    }
    flags = [str(word) for option in options.items() for word in option]
    return [sys.executable, "-m", "worker.run_job", job.id, str(job.epoch), *flags]


def _environment(settings: WorkerSettings) -> dict[str, str]:
    """Ours without addresses and secrets: the job process needs neither database nor broker."""
    environ = {k: v for k, v in os.environ.items() if k not in _NOT_FOR_JOBS}
    if settings.job_threads is not None:
        environ.update(dict.fromkeys(_THREADS, str(settings.job_threads)))
    return {**environ, "FOGLAB_HOME": str(settings.home), "PYTHONUNBUFFERED": "1"}
