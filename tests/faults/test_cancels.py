"""P6: a cancel is kept, whatever is killed and started again afterwards, in whatever order."""

import random
import time
from pathlib import Path

from core.jobs.records import JobState
from tests.faults.conftest import Record, rounds
from tests.faults.lab import PATIENCE, Part, running_lab
from tests.worker.conftest import wait_until

MAY_RUN_ON_SECONDS = 15.0


def test_cancelled_job_never_runs_or_publishes(
    tmp_path: Path, sqlite_template: Path, record: Record
) -> None:
    """Cancelled queued or running; API, worker, broker or all of them are killed before or after."""
    chance = random.Random(4)
    many = rounds(10, 200)
    unstarted: list[str] = []
    jobs: list[str] = []
    kills: dict[str, int] = {"Api": 0, "Worker": 0, "Broker": 0}
    slowest = 0.0
    quick = {"FOGLAB_LEASE_SECONDS": "5", "FOGLAB_STOP_SECONDS": "1"}
    with running_lab(tmp_path, sqlite_template, workers=1, **quick) as lab:
        parts: list[Part] = [lab.api, lab.workers[0], lab.broker]

        def kill(victims: list[Part]) -> None:
            for part in victims:
                part.kill()
                kills[type(part).__name__] += 1

        for n in range(many):
            job = lab.post(steps=100_000)
            jobs.append(job)
            if chance.random() < 0.4:
                wait_until(lambda job=job: lab.starts(job), PATIENCE)
            before = chance.sample(parts[1:], 1) if n % 4 == 1 else []
            kill(before)
            state = lab.cancel(job)
            if state is JobState.CANCELLED and not lab.starts(job):
                unstarted.append(job)
            after = chance.sample(parts, chance.choice([1, 3])) if n % 4 == 3 else []
            kill(after)
            for part in chance.sample(before + after, len(before + after)):
                part.start()
            if not before + after:
                began = time.monotonic()
                lab.until_final(job)
                slowest = max(slowest, time.monotonic() - began)
        assert {lab.until_final(job).state for job in jobs} == {JobState.CANCELLED}
        assert lab.until_final(lab.post()).state is JobState.SUCCEEDED  # the worker had its chance
        assert [lab.starts(job) for job in unstarted] == [0] * len(unstarted)
        outputs = [lab.row(job).output_id for job in jobs]
        assert [o for o in outputs if lab.rig.artifacts.model(o).exists()] == []
        assert not set(outputs) & set(lab.store.artifact_ids())
    assert slowest <= MAY_RUN_ON_SECONDS
    record(
        "P6",
        what="cancelled jobs that ran on or published",
        tried=many,
        held=many,
        cancelled_before_start=len(unstarted),
        slowest_end_seconds=round(slowest, 1),
        killed=kills,
    )
