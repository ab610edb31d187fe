"""The whole installation at a glance, for metrics and readiness."""

from sqlalchemy import Connection, func, select, update

from core.jobs.records import JobState, Overview, RunningJob, Waiting
from core.jobs.rows import DEFAULT_PROJECT, Rows
from core.jobs.spec import QUEUES, Kind
from core.jobs.tables import jobs, projects
from core.jobs.transitions import claimable


class Overviews(Rows):
    """Sums over all projects; no names, and ids of running jobs only."""

    def overview(self) -> Overview:
        """Jobs by kind and state, ready ones by queue, and those that run."""
        now = self.clock()
        counted = select(jobs.c.kind, jobs.c.state, func.count()).group_by(
            jobs.c.kind, jobs.c.state
        )
        ready = select(jobs.c.kind, func.count(), func.min(jobs.c.created_at))
        ready = ready.where(claimable(now)).group_by(jobs.c.kind)
        held = select(jobs).where(jobs.c.state == JobState.RUNNING.value).order_by(jobs.c.seq)

        def work(connection: Connection) -> Overview:
            counts = {(Kind(k), JobState(s)): int(n) for k, s, n in connection.execute(counted)}
            waiting = {queue: Waiting() for queue in QUEUES.values()}
            for kind, n, first in connection.execute(ready):
                queue = QUEUES[Kind(kind)]
                waiting[queue] = waiting[queue].and_more(int(n), max(0.0, now - first))
            running = [RunningJob.model_validate(row) for row in connection.execute(held)]
            return Overview(now=now, counts=counts, waiting=waiting, running=tuple(running))

        return self.database.read(work)

    def seconds_ahead(self) -> float:
        """How far our clock is ahead of that of the database's machine; 0 for a file."""
        if self.database.engine.dialect.name == "sqlite":
            return 0.0
        told = select(func.extract("epoch", func.clock_timestamp()))
        return self.clock() - float(self.database.read(lambda c: c.scalar(told)) or 0.0)

    def check_writable(self) -> None:
        """Write a row, durably, and change nothing. Raises `StoreUnavailable`."""
        row = projects.c.name == DEFAULT_PROJECT
        statement = update(projects).where(row).values(created_at=projects.c.created_at)
        self.database.write(lambda c: c.execute(statement))
