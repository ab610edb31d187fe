"""P1: a training job that is killed at any moment ends with the weights of one that was not."""

import hashlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from core.artifacts import Artifacts
from core.jobs.records import Job, JobState
from core.jobs.spec import LocalModelSpec
from core.jobs.store import Store, Submission
from tests.faults.conftest import LONG, Record, rounds
from tests.faults.rig import Rig, ended, job_process, session
from tests.jobs.makers import dataset
from tests.training.makers import bar_dataset, local_spec
from tests.worker.conftest import wait_until

STEPS, SAVE_EVERY = 120, 12
KILLS = 3
PATIENCE = 900.0


class Training:
    """One job of a tiny real model, and the places where it may be hit."""

    def __init__(self, rig: Rig, spec: LocalModelSpec) -> None:
        self.rig = rig
        one = Submission(spec, "train", max_attempts=100)
        (self.job,) = rig.store.submit_many([one])

    @property
    def row(self) -> Job:
        return self.rig.store.get(self.job.id)

    @property
    def run(self) -> Path:
        return self.rig.artifacts.run(self.job.id)

    def step(self) -> int:
        """The last step with metrics."""
        try:
            lines = (self.run / "metrics.jsonl").read_bytes().split(b"\n")
            return int(json.loads(lines[-2])["step"])
        except (FileNotFoundError, IndexError, ValueError):
            return 0

    def saved(self) -> int:
        """The step of the newest checkpoint."""
        steps = [int(p.name) for p in self.run.glob("checkpoints-*/[0-9]*")]
        return max(steps, default=0)

    def saves_now(self) -> bool:
        return any(self.run.glob("checkpoints-*/.0*"))

    def weights(self) -> str:
        wait_until(lambda: self.row.state.final, PATIENCE)
        assert self.row.state is JobState.SUCCEEDED, self.row.error
        path = self.rig.artifacts.model(self.job.output_id) / "model.safetensors"
        return hashlib.sha256(path.read_bytes()).hexdigest()


def hit(
    training: Training, worker: subprocess.Popen[bytes], whom: str, inside: bool, at: int
) -> int:
    """Kill at step `at`, or in the next save after it; how many steps are to be done again."""
    wait_until(lambda: training.step() >= at or training.row.state.final, PATIENCE)
    deadline = time.monotonic() + 20
    while inside and not training.saves_now() and time.monotonic() < deadline:
        time.sleep(0.0005)
    if training.row.state.final:
        return 0
    trainer = job_process(worker, PATIENCE)
    lost = training.step() - training.saved()
    for pid in {"trainer": [trainer.pid], "worker": [worker.pid], "all": [worker.pid, trainer.pid]}[
        whom
    ]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not session(trainer.pid), 30)
    return lost


def test_killed_training_ends_with_the_same_weights(
    tmp_path: Path, sqlite_url: str, open_store: Callable[..., Store], record: Record
) -> None:
    chance = random.Random(5)
    jobs = rounds(1, 10)
    store = open_store(sqlite_url)
    settings = {"FOGLAB_LEASE_SECONDS": "5", "FOGLAB_STOP_SECONDS": "2"}
    kills = inside_saves = 0
    with ended(Rig(tmp_path / "home", sqlite_url, store, **settings)) as rig:
        worker = rig.worker()
        data = dataset(store).id
        bar_dataset(Artifacts(rig.home).dataset(data))
        spec = local_spec(dataset=data, steps=STEPS, save_every=SAVE_EVERY)
        undisturbed = Training(rig, spec).weights()
        for n in range(jobs):
            training = Training(rig, spec)
            whom = ["trainer", "worker", "all"]
            many = 5 if LONG else KILLS
            marks = sorted(chance.sample(range(1, STEPS - 2 * SAVE_EVERY), many))
            for i, at in enumerate(marks):
                inside = (n + i) % 3 == 0
                lost = hit(training, worker, whom[i % 3], inside, at)
                assert lost <= SAVE_EVERY + 1
                kills += 1
                inside_saves += inside
                if worker.poll() is not None or whom[i % 3] != "trainer":
                    worker.wait()
                    worker = rig.worker()
            assert training.weights() == undisturbed
            assert training.row.attempt > 1
            wait_until(lambda run=training.run: not list(run.glob("checkpoints-*")))
    record(
        "P1",
        what="kill -9 of trainer, worker or both; final weights equal",
        tried=kills,
        inside_a_save=inside_saves,
        held=kills,
        orphans=0,
    )
