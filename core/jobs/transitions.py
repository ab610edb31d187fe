"""The state machine of a job. Every write of a worker carries the epoch of its claim."""

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from core.jobs.errors import IllegalTransition, JobNotFound, Lost
from core.jobs.outbox import announce
from core.jobs.propagation import end_dependents, reopen_dependents
from core.jobs.records import ARTIFACT_TYPES, Job, JobState, Json, NewArtifact, Silence
from core.jobs.rows import Rows, one_job
from core.jobs.spec import Kind
from core.jobs.tables import artifacts, job_dependencies, jobs

T = TypeVar("T")
BACK_OFF_SECONDS = (10.0, 30.0)
"""Pause before the second and the third attempt."""


class Transitions(Rows):
    """What a worker, the reaper and a user may do to a job."""

    back_off_seconds: tuple[float, ...] = BACK_OFF_SECONDS

    def claim(self, job_id: str, owner: str) -> Job | None:
        """Start an attempt, or None if the job is not to be started (now, or by us)."""

        def work(connection: Connection) -> Job | None:
            statement = (
                update(jobs)
                .where(jobs.c.id == job_id, claimable(self.clock()))
                .values(
                    state=JobState.RUNNING.value,
                    epoch=jobs.c.epoch + 1,
                    attempt=jobs.c.attempt + 1,
                    hb_seq=jobs.c.hb_seq + 1,
                    owner=owner,
                    not_before=None,
                    needs_bytes=None,
                    started_at=func.coalesce(jobs.c.started_at, self.clock()),
                )
            )
            if connection.execute(statement).rowcount == 0:
                return None
            return one_job(connection, job_id)

        return self.database.write(work)

    def beat(self, job_id: str, epoch: int, progress: Json | None = None) -> bool:
        """Say that the attempt lives; True when it is asked to stop. Raises `Lost`."""
        values: dict[str, Any] = {"hb_seq": jobs.c.hb_seq + 1}
        if progress is not None:
            values["progress"] = progress
        statement = update(jobs).where(_ours(job_id, epoch)).values(**values)

        def work(connection: Connection) -> bool:
            row = connection.execute(statement.returning(jobs.c.cancel_requested)).first()
            if row is None:
                raise Lost(job_id, epoch)
            return bool(row.cancel_requested)

        return self.database.write(work)

    def succeed(self, job_id: str, epoch: int, result: Json, artifact: NewArtifact) -> Job:
        """End the job and list its artifact; `cancelled` and no artifact if a cancel came first.

        The files must be in their final place already. Raises `Lost`.
        """

        def work(connection: Connection) -> Job:
            row = _held(connection, job_id, epoch)
            if row.cancel_requested:
                return self._end(connection, row, JobState.CANCELLED, None)
            connection.execute(
                insert(artifacts).values(
                    id=row.output_id,
                    project=row.project,
                    type=ARTIFACT_TYPES[Kind(row.kind)].value,
                    kind=row.kind,
                    name=row.name,
                    job_id=job_id,
                    summary=artifact.summary,
                    lineage=list(artifact.lineage),
                    created_at=self.clock(),
                )
            )
            return self._end(connection, row, JobState.SUCCEEDED, None, result=result)

        return self.database.write(work)

    def fail(self, job_id: str, epoch: int, error: str) -> Job:
        """End the job with a reason that a user can act on. Raises `Lost`."""
        return self.database.write(
            lambda c: self._end(c, _held(c, job_id, epoch), JobState.FAILED, error)
        )

    def cancelled(self, job_id: str, epoch: int) -> Job:
        """The attempt stopped as asked. Raises `Lost`."""
        return self.database.write(
            lambda c: self._end(c, _held(c, job_id, epoch), JobState.CANCELLED, None)
        )

    def release(self, job_id: str, epoch: int) -> Job:
        """Polite stop of the worker: back to the queue, the attempt does not count. Raises `Lost`."""

        def work(connection: Connection) -> Job:
            row = _held(connection, job_id, epoch)
            if row.cancel_requested:
                return self._end(connection, row, JobState.CANCELLED, None)
            return self._queue(connection, row, attempt=row.attempt - 1, not_before=None)

        return self.database.write(work)

    def defer(self, job_id: str, epoch: int, needs_bytes: int, seconds: float) -> Job:
        """The disk filled up: back to the queue until there is room; the attempt does not count.

        Looked at again after `seconds`. Raises `Lost`.
        """

        def work(connection: Connection) -> Job:
            row = _held(connection, job_id, epoch)
            if row.cancel_requested:
                return self._end(connection, row, JobState.CANCELLED, None)
            due = self.clock() + seconds
            wait = {"not_before": due, "needs_bytes": needs_bytes, "error": None}
            return self._queue(connection, row, attempt=row.attempt - 1, **wait)

        return self.database.write(work)

    def postpone(self, job_id: str, needs_bytes: int, seconds: float) -> None:
        """Say of a job that could be claimed now what it waits for; nothing if it no longer can."""
        now = self.clock()
        statement = update(jobs).where(jobs.c.id == job_id, claimable(now))
        wait = {"not_before": now + seconds, "needs_bytes": needs_bytes}
        self.database.write(lambda c: c.execute(statement.values(**wait)))

    def crashed(self, job_id: str, epoch: int, reason: str) -> Job:
        """The job process died: try again after a pause, or fail with the reason. Raises `Lost`."""
        return self.database.write(lambda c: self._again(c, _held(c, job_id, epoch), reason))

    def while_ours(self, job_id: str, epoch: int, action: Callable[[], T]) -> T:
        """Run a short action that must not race with another attempt's. Raises `Lost`."""

        def work(connection: Connection) -> T:
            _held(connection, job_id, epoch)
            return action()

        return self.database.write(work)

    def while_in(
        self, job_id: str, states: Collection[JobState], action: Callable[[], T]
    ) -> T | None:
        """Run a short action while the job is in one of `states` and stays in it, else None."""
        values = [state.value for state in states]
        query = select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.state.in_(values))

        def work(connection: Connection) -> T | None:
            held = connection.execute(query.with_for_update()).first()
            return None if held is None else action()

        return self.database.write(work)

    def requeue_silent(self, seen: Silence, reason: str) -> Job | None:
        """The reaper's verdict on a silent worker; None if the worker spoke up meanwhile."""

        def work(connection: Connection) -> Job | None:
            mine = and_(_ours(seen.id, seen.epoch), jobs.c.hb_seq == seen.hb_seq)
            row = connection.execute(select(jobs).where(mine).with_for_update()).first()
            return None if row is None else self._again(connection, row, reason)

        return self.database.write(work)

    def request_cancel(self, job_id: str) -> Job:
        """A queued job is cancelled at once, a running one is told by its next heartbeat.

        Cancelling a cancelled job changes nothing. Raises `JobNotFound`, `IllegalTransition`.
        """

        def work(connection: Connection) -> Job:
            row = _locked(connection, job_id, self.mine(jobs))
            if row.state == JobState.QUEUED:
                return self._end(connection, row, JobState.CANCELLED, None)
            if row.state == JobState.RUNNING:
                flag = update(jobs).where(jobs.c.id == job_id).values(cancel_requested=True)
                connection.execute(flag)
            elif row.state != JobState.CANCELLED:
                raise IllegalTransition(f"{job_id} has {row.state} already, it can't be cancelled")
            return one_job(connection, job_id)

        return self.database.write(work)

    def retry(self, job_id: str) -> Job:
        """Reopen a failed or cancelled job and the jobs that ended because of it.

        It resumes from its checkpoints, with a fresh count of attempts. Raises `JobNotFound`,
        `IllegalTransition`.
        """

        def work(connection: Connection) -> Job:
            row = _locked(connection, job_id, self.mine(jobs))
            if row.state not in (JobState.FAILED, JobState.CANCELLED):
                raise IllegalTransition(
                    f"{job_id} is {row.state}; only a failed or cancelled job can be retried"
                )
            blocker = reopen_dependents(connection, job_id)
            if blocker is not None:
                raise IllegalTransition(f"{job_id} waits for {blocker}; retry that job first")
            return one_job(connection, job_id)

        return self.database.write(work)

    def _again(self, connection: Connection, row: Row[Any], reason: str) -> Job:
        if row.cancel_requested:
            return self._end(connection, row, JobState.CANCELLED, None)
        if row.attempt >= row.max_attempts:
            error = f"{reason}; gave up after {row.attempt} attempts"
            return self._end(connection, row, JobState.FAILED, error)
        pauses = self.back_off_seconds
        pause = pauses[min(row.attempt, len(pauses)) - 1] if pauses else 0.0
        return self._queue(
            connection, row, attempt=row.attempt, not_before=self.clock() + pause, error=reason
        )

    def _queue(self, connection: Connection, row: Row[Any], **values: Any) -> Job:
        statement = update(jobs).where(jobs.c.id == row.id)
        connection.execute(statement.values(state=JobState.QUEUED.value, owner=None, **values))
        return one_job(connection, row.id)

    def _end(
        self,
        connection: Connection,
        row: Row[Any],
        state: JobState,
        error: str | None,
        result: Json | None = None,
    ) -> Job:
        now = self.clock()
        statement = update(jobs).where(jobs.c.id == row.id)
        connection.execute(
            statement.values(state=state.value, error=error, result=result, finished_at=now)
        )
        announce(connection, row.id, now)
        if state is not JobState.SUCCEEDED:
            end_dependents(connection, row.id, now)
        return one_job(connection, row.id)


def claimable(now: float) -> Any:
    """Condition of a row of `jobs` that may be started: queued, due, all dependencies succeeded."""
    made = jobs.alias("made")
    unmet = exists(
        select(made.c.id)
        .join(job_dependencies, job_dependencies.c.depends_on == made.c.id)
        .where(job_dependencies.c.job_id == jobs.c.id, made.c.state != JobState.SUCCEEDED.value)
    )
    due = or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now)
    return and_(jobs.c.state == JobState.QUEUED.value, due, ~unmet)


def _ours(job_id: str, epoch: int) -> Any:
    return and_(jobs.c.id == job_id, jobs.c.epoch == epoch, jobs.c.state == JobState.RUNNING.value)


def _held(connection: Connection, job_id: str, epoch: int) -> Row[Any]:
    """The row of a claim that is still valid, locked. Raises `Lost`."""
    row = connection.execute(select(jobs).where(_ours(job_id, epoch)).with_for_update()).first()
    if row is None:
        raise Lost(job_id, epoch)
    return row


def _locked(connection: Connection, job_id: str, mine: ColumnElement[bool]) -> Row[Any]:
    query = select(jobs).where(jobs.c.id == job_id, mine).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise JobNotFound(job_id)
    return row
