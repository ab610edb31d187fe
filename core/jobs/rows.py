"""The common ground of the store's parts: a database, a clock, and rows turned into records."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, bindparam, select, true

from core.jobs.database import Database
from core.jobs.errors import JobNotFound
from core.jobs.records import Job
from core.jobs.tables import job_dependencies, jobs

DEFAULT_PROJECT = "default"
"""Where everything belongs that nobody gave a project to; its callers run the installation."""


class Rows:
    """Holds what every part of the store needs.

    `project` limits what callers see and makes what they add part of it; a worker, or whoever
    runs the installation, has None and sees all.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.time,
        project: str | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.project = project

    def mine(self, table: Table) -> ColumnElement[bool]:
        """Condition of the rows that may be seen. Every query for a caller has it."""
        return true() if self.project is None else table.c.project == self.project

    @property
    def own(self) -> str:
        """The project of what is added."""
        return self.project or DEFAULT_PROJECT


_ONE = (
    select(jobs, job_dependencies.c.depends_on)
    .outerjoin(job_dependencies, job_dependencies.c.job_id == jobs.c.id)
    .where(jobs.c.id == bindparam("job_id"))
)
"""A row for each job that it waits for. Built once: that takes as long as to run it."""


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


def one_job(connection: Connection, job_id: str, project: str | None = None) -> Job:
    """By a single statement. Raises `JobNotFound`, also for a job of another project than `project`,
    if that is given."""
    rows = connection.execute(_ONE, {"job_id": job_id}).all()
    if not rows or project not in (None, rows[0].project):
        raise JobNotFound(job_id)
    waits = sorted(r.depends_on for r in rows if r.depends_on is not None)
    return Job.model_validate({**rows[0]._mapping, "depends_on": tuple(waits)})
