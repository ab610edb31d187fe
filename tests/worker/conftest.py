"""A home with a database, and jobs of a stage that counts; see overlay/sitecustomize.py."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from core.artifacts import Artifacts
from core.jobs.environment import Environment
from core.jobs.records import Job
from core.jobs.spec import LocalModelSpec
from core.jobs.store import Store
from core.stop_flag import StopFlag
from tests.jobs.makers import dataset
from worker.launcher import Launcher
from worker.settings import WorkerSettings

OVERLAY = Path(__file__).parent / "overlay"

QUICK = {
    "FOGLAB_BEAT_SECONDS": "0.1",
    "FOGLAB_STOP_SECONDS": "3",
    "FOGLAB_LEASE_SECONDS": "30",
    "FOGLAB_POLL_SECONDS": "0.5",
    "FOGLAB_HINT_SECONDS": "0.2",
    "FOGLAB_BACK_OFF_SECONDS": "[0]",
}


@dataclass
class Lab:
    """One installation, and what the tests ask of it."""

    store: Store
    settings: WorkerSettings
    stopping: StopFlag

    def __post_init__(self) -> None:
        self.store.back_off_seconds = self.settings.back_off_seconds
        self.launcher = Launcher(self.store, self.settings, self.stopping)
        self.artifacts = Artifacts(self.settings.home)
        self.dataset = dataset(self.store).id

    def submit(self, how: int, steps: int = 20) -> Job:
        """A job of the counting stage; `how` it behaves is one of the overlay's constants."""
        spec = LocalModelSpec(dataset=self.dataset, steps=steps, save_every=5, seed=how)
        return self.store.submit(spec, "count")

    def folder(self, job: Job) -> Path:
        return self.artifacts.run(job.id)

    def starts(self, job: Job) -> list[int]:
        """The step at which each attempt started."""
        return [int(line.split()[0]) for line in self._starts(job)]

    def pid(self, job: Job) -> int:
        """The job process of the newest attempt, once its stage has begun."""
        wait_until(lambda: (self.folder(job) / "starts").exists())
        return int(self._starts(job)[-1].split()[1])

    def saved(self, job: Job) -> int:
        """Step of the checkpoint."""
        (path,) = self.checkpoints(job)
        return int(json.loads(path.read_text()))

    def checkpoints(self, job: Job) -> list[Path]:
        """The checkpoint, under the number of whatever attempt has it now."""
        return list(self.folder(job).glob("checkpoints-*/step.json"))

    def metrics(self, job: Job) -> list[int]:
        """Steps with metrics."""
        lines = (self.folder(job) / "metrics.jsonl").read_text().splitlines()
        return [int(json.loads(line)["step"]) for line in lines]

    def _starts(self, job: Job) -> list[str]:
        return (self.folder(job) / "starts").read_text().splitlines()


@pytest.fixture
def quick(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The environment of a worker that does everything soon, for this process and its children."""
    environment = Environment.read(
        {"FOGLAB_HOME": str(tmp_path / "home"), "FOGLAB_DATABASE_URL": sqlite_url}
    )
    for name, value in {**QUICK, **environment.variables()}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(OVERLAY), prepend=os.pathsep)
    monkeypatch.setenv("FOGLAB_TOKEN", "fog_secret")
    return environment


@pytest.fixture
def lab(quick: Environment, open_store: Callable[..., Store]) -> Iterator[Lab]:
    stopping = StopFlag()
    yield Lab(open_store(quick.database_url), WorkerSettings(), stopping)
    stopping.set()


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Fails the test when the condition does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this took too long"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
