"""P4, P5, P7: paused workers, poison and polite stops, with real workers."""

import hashlib
import itertools
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core.jobs.records import Job, JobState
from core.jobs.spec import LocalModelSpec
from core.jobs.store import Store
from tests.faults.conftest import LONG, Record, rounds
from tests.faults.rig import Rig, job_process, session
from tests.jobs.makers import dataset
from tests.worker.conftest import alive, wait_until
from tests.worker.overlay.counting import COUNTS, HANGS, KILLS_ITSELF

PATIENCE = 600.0
LEASE = 4.0


class Counting:
    """Jobs that count, in a rig."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.store = rig, rig.store
        self.dataset = dataset(rig.store).id
        rig.count_instead()

    def submit(self, how: int = COUNTS, steps: int = 20) -> Job:
        spec = LocalModelSpec(dataset=self.dataset, steps=steps, save_every=5, seed=how)
        return self.store.submit(spec, "count")

    def row(self, job: Job) -> Job:
        return self.store.get(job.id)

    def starts(self, job: Job) -> list[int]:
        path = self.rig.artifacts.run(job.id) / "starts"
        return [int(x.split()[0]) for x in path.read_text().splitlines()] if path.exists() else []

    def metrics(self, job: Job) -> list[int]:
        text = (self.rig.artifacts.run(job.id) / "metrics.jsonl").read_text()
        return [int(json.loads(line)["step"]) for line in text.splitlines()]

    def until_final(self, job: Job) -> Job:
        wait_until(lambda: self.row(job).state.final, PATIENCE)
        return self.row(job)

    def until_saved(self, job: Job) -> None:
        run = self.rig.artifacts.run(job.id)
        wait_until(lambda: list(run.glob("checkpoints-*/step.json")), PATIENCE)

    def tree(self, job: Job) -> dict[str, str]:
        """Hashes of everything the job has on disk, without its log."""
        places = [self.rig.artifacts.run(job.id), self.rig.artifacts.model(job.output_id)]
        files = [p for f in places for p in f.rglob("*") if p.is_file() and p.name != "log.txt"]
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def make_rig(
    tmp_path: Path, sqlite_url: str, open_store: Callable[..., Store]
) -> Iterator[Callable[..., Counting]]:
    rigs: list[Rig] = []

    def make(**settings: str) -> Counting:
        rigs.append(Rig(tmp_path / "home", sqlite_url, open_store(sqlite_url), **settings))
        return Counting(rigs[-1])

    yield make
    for rig in rigs:
        rig.end()


def test_worker_that_wakes_up_after_its_lease_does_no_harm(
    make_rig: Callable[..., Counting], record: Record
) -> None:
    lab = make_rig(FOGLAB_LEASE_SECONDS=str(LEASE), FOGLAB_STOP_SECONDS="1")
    many = rounds(1, 20)
    slowest = 0.0
    sleeper = lab.rig.worker()
    for _ in range(many):
        job = lab.submit(steps=300)
        trainer = job_process(sleeper, PATIENCE)
        lab.until_saved(job)
        for pid in (sleeper.pid, *session(trainer.pid)):
            psutil.Process(pid).send_signal(signal.SIGSTOP)
        paused_at = time.monotonic()
        other = lab.rig.worker()
        last = lab.until_final(job)
        assert (last.state, last.attempt) == (JobState.SUCCEEDED, 2)
        run = lab.rig.artifacts.run(job.id)
        wait_until(lambda run=run: not list(run.glob("checkpoints*")))
        before = lab.tree(job)
        time.sleep(max(0.0, 3 * LEASE - (time.monotonic() - paused_at)))
        for pid in (*session(trainer.pid), sleeper.pid):
            psutil.Process(pid).send_signal(signal.SIGCONT)
        woken_at = time.monotonic()
        wait_until(lambda pid=trainer.pid: not alive(pid), 60)
        slowest = max(slowest, time.monotonic() - woken_at)
        time.sleep(0.5)  # whatever the launcher still wants to do
        assert lab.row(job) == last
        assert lab.tree(job) == before
        assert lab.metrics(job) == list(range(1, 301))
        sleeper.terminate()
        assert sleeper.wait(120) == 0
        sleeper = other
    record(
        "P4",
        what=f"worker paused for {3 * LEASE:.0f} s, lease {LEASE:.0f} s",
        tried=many,
        held=many,
        stale_writes=0,
        slowest_exit_seconds=round(slowest, 1),
    )


def test_poison_job_starts_three_times_with_pauses_and_harms_no_other(
    make_rig: Callable[..., Counting], record: Record
) -> None:
    pauses = [10.0, 30.0] if LONG else [0.5, 1.0]
    lab = make_rig(FOGLAB_BACK_OFF_SECONDS=json.dumps(pauses))
    lab.rig.worker()
    poison, other = lab.submit(KILLS_ITSELF), lab.submit()
    times: list[float] = []

    def watch() -> bool:
        if len(lab.starts(poison)) > len(times):
            times.append(time.monotonic())
        return lab.row(poison).state.final

    wait_until(watch, PATIENCE)
    assert lab.row(poison).state is JobState.FAILED
    assert lab.row(poison).error == (
        "the job process was killed (SIGKILL), most likely because memory ran out; "
        "gave up after 3 attempts"
    )
    assert len(lab.starts(poison)) == 3
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert all(gap >= pause - 0.3 for gap, pause in zip(gaps, pauses, strict=True))
    last = lab.until_final(other)
    assert (last.state, last.attempt) == (JobState.SUCCEEDED, 1)
    record("P5", what=f"poison job, pauses {pauses} s", tried=1, held=1, starts=3)


def test_second_sigterm_does_not_wait_for_the_job(
    make_rig: Callable[..., Counting], record: Record
) -> None:
    lab = make_rig(FOGLAB_LEASE_SECONDS="400", FOGLAB_STOP_SECONDS="300")
    many = rounds(1, 5)
    slowest = 0.0
    for _ in range(many):
        worker = lab.rig.worker()
        job = lab.submit(HANGS)
        trainer = job_process(worker, PATIENCE)
        wait_until(lambda job=job: lab.starts(job), PATIENCE)
        worker.terminate()
        wait_until(lambda: lab.rig.said("Warm shutdown"))
        time.sleep(0.5)
        assert alive(trainer.pid)
        began = time.monotonic()
        worker.terminate()
        assert worker.wait(120) == 0
        slowest = max(slowest, time.monotonic() - began)
        assert not alive(trainer.pid)
        row = lab.row(job)
        assert (row.state, row.attempt) == (JobState.QUEUED, 0)
        lab.store.request_cancel(job.id)
    record("P7", what="second SIGTERM", tried=many, held=many, slowest_seconds=round(slowest, 1))


def test_polite_stops_lose_no_step(make_rig: Callable[..., Counting], record: Record) -> None:
    """Stopped again and again, the job counts every step once and is not charged an attempt."""
    lab = make_rig()
    many = rounds(2, 20)
    job = lab.submit(steps=400 * many)
    for n in range(many):
        worker = lab.rig.worker()
        wait_until(lambda n=n: len(lab.starts(job)) > n, PATIENCE)
        begun = lab.metrics(job)[-1:] or [0]
        wait_until(lambda begun=begun: (lab.metrics(job)[-1:] or [0]) > begun, PATIENCE)
        worker.terminate()
        assert worker.wait(120) == 0
        assert (lab.row(job).state, lab.row(job).attempt) == (JobState.QUEUED, 0)
        assert lab.metrics(job) == list(range(1, lab.metrics(job)[-1] + 1))
    resumed = lab.starts(job)
    lab.rig.worker()
    wait_until(lambda: len(lab.starts(job)) > many, PATIENCE)
    assert lab.starts(job)[-1] == lab.metrics(job)[lab.starts(job)[-1] - 1]
    assert resumed == sorted(resumed)
    lab.store.request_cancel(job.id)
    lab.until_final(job)
    record("P7", what="SIGTERM of a worker: steps lost", tried=many, held=many, steps_lost=0)
