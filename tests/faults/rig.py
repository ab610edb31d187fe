"""An installation with real workers that tests kill, pause and start again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from core.artifacts import Artifacts
from core.jobs.environment import Environment
from core.jobs.store import Store
from foglab import tether
from tests.worker.conftest import OVERLAY, QUICK, alive, wait_until

REPOSITORY = Path(__file__).parents[2]


class Rig:
    """Starts programs with an environment of its own and ends all of them."""

    def __init__(self, home: Path, url: str, store: Store, **settings: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.environment = Environment.read(
            {"FOGLAB_HOME": str(home), "FOGLAB_DATABASE_URL": url, **settings}
        )
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("FOGLAB_")}
        self.environ = {
            **inherited,
            **QUICK,
            "FOGLAB_JOB_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(REPOSITORY),
            **settings,
            **self.environment.variables(),
        }
        self.home, self.store, self.artifacts = home, store, Artifacts(home)
        self.workers: list[subprocess.Popen[bytes]] = []
        self._running: list[subprocess.Popen[bytes]] = []

    def count_instead(self) -> None:
        """Have jobs count instead of training; see tests/worker/overlay."""
        self.environ["PYTHONPATH"] = os.pathsep.join([str(OVERLAY), str(REPOSITORY)])

    def start(self, command: list[str], log: str, **environ: str) -> subprocess.Popen[bytes]:
        with (self.home / log).open("ab") as file:
            process = subprocess.Popen(
                # tied to this session's life: a killed test leaves no worker behind
                [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command],
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**self.environ, **environ},
            )
        self._running.append(process)
        return process

    def worker(
        self, app: str = "worker.app", queues: str = "gpu,ingest", **environ: str
    ) -> subprocess.Popen[bytes]:
        celery = [sys.executable, "-m", "celery", "-A", app, "worker", "-l", "INFO"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        name = f"w{len(self._running)}@%h"
        process = self.start([*celery, "-Q", queues, "-n", name, *quiet], "worker.log", **environ)
        self.workers.append(process)
        return process

    def said(self, words: str, log: str = "worker.log") -> int:
        path = self.home / log
        return path.read_text(errors="replace").count(words) if path.exists() else 0

    def end(self) -> None:
        for process in self._running:
            trees = [process.pid, *_job_pids(process.pid)]
            for pid in trees:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            process.wait()


@contextmanager
def ended(rig: Rig) -> Iterator[Rig]:
    try:
        yield rig
    finally:
        rig.end()


def job_process(worker: subprocess.Popen[bytes], seconds: float = 60.0) -> psutil.Process:
    """The process of the job that a worker runs, once there is one."""
    wait_until(lambda: _job_pids(worker.pid), seconds)
    return psutil.Process(_job_pids(worker.pid)[0])


def session(leader: int) -> list[int]:
    """Processes of a session that still run."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader and alive(process.pid):
                found.append(process.pid)
    return found


def _job_pids(worker: int) -> list[int]:
    try:
        children = psutil.Process(worker).children()
        return [c.pid for c in children if "worker.run_job" in c.cmdline()]
    except psutil.NoSuchProcess:
        return []
