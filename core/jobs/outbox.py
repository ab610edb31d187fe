"""What webhooks are to be told: written where a job ends, in the same transaction."""

from typing import Any

from sqlalchemy import Connection, Row, insert, select

from core.jobs.ids import new_id
from core.jobs.tables import deliveries, jobs, webhooks

PENDING, DELIVERED, GIVEN_UP = "pending", "delivered", "given_up"
TEST = "webhook.test"
_TOLD = ("id", "kind", "name", "output_id", "pipeline", "attempt", "result", "error", "ended_by")
_TIMES = ("created_at", "started_at", "finished_at")


def announce(connection: Connection, job_id: str, now: float) -> None:
    """Queue the end of a job for each webhook of its project."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one()
    hooks = select(webhooks.c.id).where(webhooks.c.project == row.project)
    for (webhook_id,) in connection.execute(hooks).all():
        connection.execute(insert(deliveries).values(**_delivery(row, webhook_id, now)))


def trial(webhook_id: str, now: float) -> dict[str, Any]:
    """A delivery that shows whether the receiver is there and checks signatures as it should."""
    return _row(webhook_id, "", TEST, {}, now)


def _delivery(job: Row[Any], webhook_id: str, now: float) -> dict[str, Any]:
    told = {f: getattr(job, f) for f in (*_TOLD, *_TIMES)}
    about = {"job": {**told, "status": job.state}}
    return _row(webhook_id, job.id, f"job.{job.state}", about, now)


def _row(
    webhook_id: str, job_id: str, event: str, about: dict[str, Any], now: float
) -> dict[str, Any]:
    identifier = new_id("dl")
    return {
        "id": identifier,
        "webhook_id": webhook_id,
        "job_id": job_id,
        "event": event,
        "payload": {"id": identifier, "event": event, **about},
        "state": PENDING,
        "attempt": 0,
        "not_before": now,
        "created_at": now,
    }
