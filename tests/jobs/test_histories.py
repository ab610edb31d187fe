"""Generated histories of the job engine, checked against a model after every event.

The invariants: one valid claim per job; a final state is final unless a user retries; no write of
an old claim changes anything; a cancelled job never publishes; every job can be brought to an
end; at most three attempts; an artifact is listed exactly when its job succeeded; nothing waits
for a job that ended badly.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, select

from core.jobs import tables
from core.jobs.errors import IllegalTransition, Lost, UnknownInput
from core.jobs.records import Job, JobState, NewArtifact, Silence
from core.jobs.rows import as_jobs
from core.jobs.spec import IngestSpec
from core.jobs.store import Store
from tests.faults.conftest import Record, rounds
from tests.jobs.makers import Clock, upload

BAD = (JobState.FAILED, JobState.CANCELLED)


@dataclass
class Expected:
    """What the model says about one job."""

    waits: tuple[str, ...]
    state: JobState = JobState.QUEUED
    epoch: int = 0
    attempt: int = 0
    cancel: bool = False
    due: float = 0.0
    ended_by: str | None = None
    needs: int | None = None
    output: str = field(default="", compare=False)


class Engine(RuleBasedStateMachine):
    """Submitters, workers that may be stale, reapers and users, in any order."""

    jobs = Bundle("jobs")
    claims = Bundle("claims")

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__()
        self.store, self.clock = store, clock
        clock.now = 1_000_000.0
        empty(store)
        self.upload = upload(store)
        self.model: dict[str, Expected] = {}

    @rule(target=jobs, waits=st.lists(jobs, max_size=2, unique=True))
    def submit(self, waits: list[str]) -> str:
        spec = IngestSpec(upload=self.upload, name="logs")
        if any(self.model[w].state in BAD for w in waits):
            with pytest.raises(UnknownInput):
                self.store.submit(spec, "job", waits)
            waits = []
        job = self.store.submit(spec, "job", waits)
        self.model[job.id] = Expected(tuple(sorted(waits)), output=job.output_id)
        return job.id

    @rule(target=claims, job_id=jobs)
    def claim(self, job_id: str) -> tuple[str, int]:
        expected = self.model[job_id]
        ready = self.is_ready(job_id)
        assert (job_id in [j.id for j in self.store.ready_jobs()]) == ready
        job = self.store.claim(job_id, "worker")
        assert (job is not None) == ready
        if ready:
            expected.state = JobState.RUNNING
            expected.epoch += 1
            expected.attempt += 1
            expected.needs = None
        return job_id, expected.epoch

    @rule(claim=claims)
    def beat(self, claim: tuple[str, int]) -> None:
        if self.is_ours(claim, self.store.beat):
            assert self.store.beat(*claim) == self.model[claim[0]].cancel

    @rule(claim=claims)
    def succeed(self, claim: tuple[str, int]) -> None:
        if self.is_ours(claim, self.store.succeed, {}, NewArtifact()):
            cancelled = self.model[claim[0]].cancel
            self.end(claim[0], JobState.CANCELLED if cancelled else JobState.SUCCEEDED)

    @rule(claim=claims)
    def fail(self, claim: tuple[str, int]) -> None:
        if self.is_ours(claim, self.store.fail, "no"):
            self.end(claim[0], JobState.FAILED)

    @rule(claim=claims)
    def stop_cancelled(self, claim: tuple[str, int]) -> None:
        if self.is_ours(claim, self.store.cancelled):
            self.end(claim[0], JobState.CANCELLED)

    @rule(claim=claims)
    def release(self, claim: tuple[str, int]) -> None:
        if self.is_ours(claim, self.store.release):
            self.model[claim[0]].attempt -= not self.model[claim[0]].cancel
            self.again(claim[0], pause=0)

    @rule(claim=claims)
    def defer(self, claim: tuple[str, int]) -> None:
        if self.is_ours(claim, self.store.defer, 1 << 30, 15.0):
            one = self.model[claim[0]]
            one.attempt -= not one.cancel
            if one.cancel:
                self.end(claim[0], JobState.CANCELLED)
            else:
                one.state, one.due, one.needs = JobState.QUEUED, self.clock.now + 15, 1 << 30

    @rule(job_id=jobs)
    def postpone(self, job_id: str) -> None:
        ready = self.is_ready(job_id)
        self.store.postpone(job_id, 1 << 20, 15.0)
        if ready:
            self.model[job_id].due, self.model[job_id].needs = self.clock.now + 15, 1 << 20

    @rule(claim=claims)
    def crash(self, claim: tuple[str, int]) -> None:
        if self.is_ours(claim, self.store.crashed, "killed"):
            self.again(claim[0], pause=10)

    @rule(job_id=jobs, lag=st.integers(0, 1))
    def reap(self, job_id: str, lag: int) -> None:
        job = self.store.get(job_id)
        seen = Silence(id=job.id, epoch=job.epoch, hb_seq=job.hb_seq - lag)
        taken = self.store.requeue_silent(seen, "silent")
        assert (taken is not None) == (job.state is JobState.RUNNING and lag == 0)
        if taken is not None:
            self.again(job_id, pause=10)

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        expected = self.model[job_id]
        if expected.state in (JobState.SUCCEEDED, JobState.FAILED):
            with pytest.raises(IllegalTransition):
                self.store.request_cancel(job_id)
            return
        self.store.request_cancel(job_id)
        if expected.state is JobState.QUEUED:
            self.end(job_id, JobState.CANCELLED)
        elif expected.state is JobState.RUNNING:
            expected.cancel = True

    @rule(job_id=jobs)
    def retry(self, job_id: str) -> None:
        expected = self.model[job_id]
        held = any(self.model[w].state in BAD for w in expected.waits)
        if expected.state not in BAD or held:
            with pytest.raises(IllegalTransition):
                self.store.retry(job_id)
            return
        self.store.retry(job_id)
        self.reopen(job_id)

    @rule(seconds=st.sampled_from([5, 40]))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule(claim=consumes(claims))
    def forget(self, claim: tuple[str, int]) -> None:
        """Keeps the share of stale claims down."""

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        found, listed = self.store.database.read(_everything)
        rows = {job.id: job for job in found}
        assert {i: _seen(j) for i, j in rows.items()} == {
            i: replace(e, due=0.0) for i, e in self.model.items()
        }
        assert all(j.attempt <= j.max_attempts for j in rows.values())
        made = {e.output for e in self.model.values() if e.state is JobState.SUCCEEDED}
        assert listed == made

    def teardown(self) -> None:
        """Workers that behave bring every job to its end."""
        for _ in range(2 * len(self.model)):
            self.clock.now += 60
            for silent in self.store.running():
                self.store.requeue_silent(silent, "silent")
            self.clock.now += 60
            for ready in self.store.ready_jobs():
                job = self.store.claim(ready.id, "worker")
                assert job is not None
                self.store.succeed(job.id, job.epoch, {}, NewArtifact())
        assert all(j.state.final for j in self.store.list_jobs(limit=1000))

    def is_ready(self, job_id: str) -> bool:
        one = self.model[job_id]
        met = all(self.model[w].state is JobState.SUCCEEDED for w in one.waits)
        return one.state is JobState.QUEUED and met and one.due <= self.clock.now

    def is_ours(self, claim: tuple[str, int], write: Callable[..., Any], *rest: Any) -> bool:
        """Do the write; whether the claim was valid."""
        one = self.model[claim[0]]
        if one.state is JobState.RUNNING and one.epoch == claim[1]:
            write(*claim, *rest)
            return True
        with pytest.raises(Lost):
            write(*claim, *rest)
        return False

    def again(self, job_id: str, pause: int) -> None:
        one = self.model[job_id]
        if one.cancel:
            self.end(job_id, JobState.CANCELLED)
        elif pause and one.attempt >= 3:
            self.end(job_id, JobState.FAILED)
        else:
            one.state = JobState.QUEUED
            one.due = self.clock.now + (0, pause, 30)[one.attempt] if pause else 0.0

    def end(self, job_id: str, state: JobState, cause: str | None = None) -> None:
        self.model[job_id].state, self.model[job_id].ended_by = state, cause
        if state is JobState.SUCCEEDED:
            return
        for other, expected in self.model.items():
            if job_id in expected.waits and expected.state is JobState.QUEUED:
                self.end(other, state, job_id)

    def reopen(self, job_id: str) -> None:
        one = self.model[job_id]
        bad = [w for w in self.model if w in one.waits and self.model[w].state in BAD]
        if bad:
            one.ended_by = bad[0]
            return
        one.state, one.attempt, one.cancel, one.ended_by = JobState.QUEUED, 0, False, None
        one.due, one.needs = 0.0, None
        for other, expected in self.model.items():
            if job_id in expected.waits and expected.ended_by == job_id:
                self.reopen(other)


def _everything(connection: Connection) -> tuple[list[Job], set[str]]:
    """All jobs, and the ids of all listed artifacts."""
    rows = connection.execute(select(tables.jobs))
    return as_jobs(connection, rows), set(connection.scalars(select(tables.artifacts.c.id)))


def _seen(job: Job) -> Expected:
    waits = tuple(sorted(job.depends_on))
    return Expected(
        waits,
        job.state,
        job.epoch,
        job.attempt,
        job.cancel_requested,
        ended_by=job.ended_by,
        needs=job.needs_bytes,
    )


def empty(store: Store) -> None:
    """Forget everything but the projects, faster than with a new database."""

    def work(connection: Connection) -> None:
        for table in reversed(tables.metadata.sorted_tables):
            if table is not tables.projects:
                connection.execute(table.delete())

    store.database.write(work)


def test_no_history_breaks_an_invariant(
    database_url: str, open_store: Callable[..., Store], record: Record
) -> None:
    clock = Clock()
    histories = rounds(100, 2000)
    store = open_store(database_url, clock=clock)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Engine(store, clock),
        settings=settings(
            max_examples=histories,
            stateful_step_count=16,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],  # a failing history is short; to shrink it would take minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
    kind = store.database.engine.dialect.name
    record("P10", what=f"histories of up to 16 events, {kind}", tried=histories, held=histories)
