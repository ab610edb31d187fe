"""The common ground of the store's parts: a database, a clock, and rows turned into records."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, Row, select

from core.jobs.database import Database
from core.jobs.errors import JobNotFound
from core.jobs.records import Job
from core.jobs.tables import job_dependencies, jobs


class Rows:
    """Holds what every part of the store needs."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self.clock = clock


def as_jobs(connection: Connection, rows: Iterable[Row[Any]]) -> list[Job]:
    """Jobs with the ids they wait for."""
    found = list(rows)
    if not found:
        return []
    query = select(job_dependencies).where(job_dependencies.c.job_id.in_([r.id for r in found]))
    waits: dict[str, list[str]] = {}
    for link in connection.execute(query.order_by(job_dependencies.c.depends_on)):
        waits.setdefault(link.job_id, []).append(link.depends_on)
    return [
        Job.model_validate({**row._mapping, "depends_on": tuple(waits.get(row.id, ()))})
        for row in found
    ]


def one_job(connection: Connection, job_id: str) -> Job:
    """Raises `JobNotFound`."""
    rows = as_jobs(connection, connection.execute(select(jobs).where(jobs.c.id == job_id)))
    if not rows:
        raise JobNotFound(job_id)
    return rows[0]
