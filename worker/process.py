"""The job process as its launcher holds it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from core.artifacts import Artifacts, make_folder
from core.jobs.records import Job
from worker.lifeline import kill_group
from worker.run_job import STACKS_SIGNAL
from worker.settings import WorkerSettings

_NOT_FOR_JOBS = (
    "FOGLAB_DATABASE_URL",
    "FOGLAB_DATABASE_PASSWORD_FILE",
    "FOGLAB_BROKER_URL",
    "FOGLAB_BROKER_PASSWORD_FILE",
    "FOGLAB_TOKEN",
)
_LEFT = ".left-"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_WAITING = "GOMP_SPINCOUNT"
_LOOKS = 3_000
"""How often a thread looks whether the others are done before it sleeps; by default it is 300,000
times, and whoever shares a core with one of them holds up all. Measured with two threads of a small
network on two cores: 2 steps/s beside a busy process, so 31; alone 104, so 110."""


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
                    # what a killed process leaves goes with its attempt
                    env={**_environment(settings), "TMPDIR": str(self.attempt / "tmp")},
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

    def tell_where_it_is(self) -> None:
        """Have it write the stacks of its threads to its log, even if it hangs in native code."""
        self._popen.send_signal(STACKS_SIGNAL)

    def ask_to_stop(self) -> None:
        """Let it save a checkpoint and leave; kill it if that takes too long. Call repeatedly."""
        now = time.monotonic()
        if self._killed_at is None:
            self._killed_at = now + self._stop_seconds
            self._popen.send_signal(signal.SIGTERM)
        elif now >= self._killed_at:
            kill_group(self.pid)

    def hurry(self) -> None:
        """Kill it, whatever it does."""
        kill_group(self.pid)

    def end(self) -> None:
        """Kill what is left of the process and its children."""
        os.close(self._lifeline)
        kill_group(self.pid)
        self._popen.wait()


def prepare(job: Job, artifacts: Artifacts, spec_json: str) -> None:
    """Lay out the run folder for an attempt. Call it only while the claim is known to be held.

    Everything that an earlier attempt writes to gets another path or goes: should its process
    be paused and wake up later, it reaches nothing. Only renames, so it is short.
    """
    run, checkpoints = artifacts.run(job.id), artifacts.checkpoints(job.id, job.epoch)
    make_folder(run)
    saved = sorted(run.glob("checkpoints*"), key=_epoch)
    if saved:
        saved.pop().rename(checkpoints)
    else:
        checkpoints.mkdir()
    for n, old in enumerate([*saved, *run.glob("attempt-*")]):
        old.rename(run / f"{_LEFT}{job.epoch}-{n}")
    (run / f"attempt-{job.epoch}" / "out").mkdir(parents=True)
    (run / f"attempt-{job.epoch}" / "tmp").mkdir()
    if (run / "metrics.jsonl").exists():
        copied = run / f"attempt-{job.epoch}" / "metrics.jsonl"
        shutil.copyfile(run / "metrics.jsonl", copied)
        copied.replace(run / "metrics.jsonl")
    (run / "spec.json").write_text(spec_json, encoding="utf-8")


def clear(run: Path) -> None:
    """Delete what earlier attempts left unfinished."""
    for old in run.glob(f"{_LEFT}*"):
        shutil.rmtree(old, ignore_errors=True)


def _epoch(checkpoints: Path) -> int:
    return int(checkpoints.name.partition("-")[2] or 0)


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
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault(_WAITING, str(_LOOKS))
    return {**environ, "FOGLAB_HOME": str(settings.home), "PYTHONUNBUFFERED": "1"}
