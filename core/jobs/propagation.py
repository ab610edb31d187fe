"""What the end of a job means for the jobs that wait for it."""

from typing import Any

from sqlalchemy import Connection, Row, select, update

from core.jobs.errors import IllegalTransition
from core.jobs.outbox import announce
from core.jobs.records import JobState
from core.jobs.removal import deleted_input
from core.jobs.tables import job_dependencies, jobs

_ENDED_BADLY = (JobState.FAILED.value, JobState.CANCELLED.value)


def end_dependents(connection: Connection, job_id: str, now: float) -> None:
    """End every queued job that waits for `job_id`, directly or not, in the state it ended in."""
    cause = connection.execute(select(jobs).where(jobs.c.id == job_id)).one()
    told = "was cancelled" if cause.state == JobState.CANCELLED else "failed"
    error = f"{cause.name!r} ({cause.id}), which this job waits for, {told}"
    for row in _waiting(connection, job_id):
        # An earlier turn of this loop may have ended it already, by way of another job.
        still = (jobs.c.id == row.id) & (jobs.c.state == JobState.QUEUED.value)
        values = {"state": cause.state, "error": error, "ended_by": job_id, "finished_at": now}
        if connection.execute(update(jobs).where(still).values(**values)).rowcount:
            announce(connection, row.id, now)
            end_dependents(connection, row.id, now)


def reopen_dependents(connection: Connection, job_id: str) -> str | None:
    """Queue `job_id` again, then the jobs that ended because of it.

    Does nothing and returns the id of a dependency of `job_id` that ended badly, if there is one.
    Raises `IllegalTransition` if an input was deleted.
    """
    links = job_dependencies
    bad = (
        select(jobs.c.id)
        .join(links, links.c.depends_on == jobs.c.id)
        .where(links.c.job_id == job_id, jobs.c.state.in_(_ENDED_BADLY))
        .order_by(jobs.c.seq)
    )
    blocker = connection.execute(bad).scalar()
    if blocker is not None:
        return str(blocker)
    spec = connection.execute(select(jobs.c.spec).where(jobs.c.id == job_id)).scalar_one()
    if (deleted := deleted_input(connection, spec)) is not None:
        raise IllegalTransition(f"{job_id} reads {deleted}, which was deleted")
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            state=JobState.QUEUED.value,
            attempt=0,
            cancel_requested=False,
            not_before=None,
            needs_bytes=None,
            owner=None,
            error=None,
            ended_by=None,
            finished_at=None,
        )
    )
    for row in _waiting(connection, job_id):
        if row.ended_by != job_id:
            continue
        other = reopen_dependents(connection, row.id)
        if other is not None:  # it waits for a second one that ended badly; that one holds it now
            connection.execute(update(jobs).where(jobs.c.id == row.id).values(ended_by=other))
    return None


def _waiting(connection: Connection, job_id: str) -> list[Row[Any]]:
    links = job_dependencies
    query = (
        select(jobs)
        .join(links, links.c.job_id == jobs.c.id)
        .where(links.c.depends_on == job_id)
        .order_by(jobs.c.seq)
        .with_for_update(of=jobs)
    )
    return list(connection.execute(query))
