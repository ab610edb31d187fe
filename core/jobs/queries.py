"""Reading jobs."""

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from core.jobs.records import EndedJob, Job, JobState, ReadyJob, Silence
from core.jobs.rows import Rows, as_jobs, one_job
from core.jobs.spec import QUEUES, Kind
from core.jobs.tables import announced_uploads, jobs, uploads
from core.jobs.transitions import claimable


class Queries(Rows):
    """One job, many jobs, and what a worker could do next."""

    def get(self, job_id: str) -> Job:
        """Raises `JobNotFound`."""
        return self.database.look(lambda c: one_job(c, job_id, self.project))

    def list_jobs(
        self,
        *,
        state: JobState | None = None,
        kind: Kind | None = None,
        pipeline: str | None = None,
        cursor: int | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """Newest first; `cursor` is the `seq` of the last job of the page before."""
        query = select(jobs).where(self.mine(jobs)).order_by(jobs.c.seq.desc()).limit(limit)
        if state is not None:
            query = query.where(jobs.c.state == state.value)
        if kind is not None:
            query = query.where(jobs.c.kind == kind.value)
        if pipeline is not None:
            query = query.where(jobs.c.pipeline == pipeline)
        if cursor is not None:
            query = query.where(jobs.c.seq < cursor)
        return self.database.read(lambda c: as_jobs(c, c.execute(query)))

    def ready_jobs(self, queue: str | None = None, limit: int = 100) -> list[ReadyJob]:
        """Queued jobs that could be claimed now, oldest first; of one queue or of all."""
        kinds = [k.value for k in Kind if queue is None or QUEUES[k] == queue]

        def work(connection: Connection) -> list[ReadyJob]:
            query = (
                select(jobs.c.id, jobs.c.kind)
                .where(self.mine(jobs), claimable(self.clock()), jobs.c.kind.in_(kinds))
                .order_by(jobs.c.seq)
                .limit(limit)
            )
            return [ReadyJob.model_validate(row) for row in connection.execute(query)]

        return self.database.read(work)

    def running(self) -> list[Silence]:
        """Heartbeat counters of all running jobs."""
        query = select(jobs.c.id, jobs.c.epoch, jobs.c.hb_seq)
        query = query.where(jobs.c.state == JobState.RUNNING.value)
        return self.database.read(lambda c: [Silence.model_validate(r) for r in c.execute(query)])

    def folder_ids(self) -> frozenset[str]:
        """Names of all folders that hold something of these jobs and uploads."""
        made = select(jobs.c.id, jobs.c.output_id).where(self.mine(jobs))
        given = [select(t.c.id).where(self.mine(t)) for t in (uploads, announced_uploads)]

        def work(connection: Connection) -> frozenset[str]:
            found = {i for row in connection.execute(made) for i in row}
            for query in given:
                found.update(connection.execute(query).scalars())
            return frozenset(found)

        return self.database.read(work)

    def ended_jobs(self) -> list[EndedJob]:
        """All jobs in a final state, oldest first."""
        query = select(jobs.c.id, jobs.c.output_id, jobs.c.state, jobs.c.finished_at)
        query = query.where(jobs.c.state.in_([s.value for s in JobState if s.final]))
        query = query.order_by(jobs.c.seq)
        return self.database.read(lambda c: [EndedJob.model_validate(r) for r in c.execute(query)])

    def job_ids(self) -> list[str]:
        """Of every job, oldest first."""
        query = select(jobs.c.id).order_by(jobs.c.seq)
        return self.database.read(lambda c: list(c.scalars(query)))

    def counts(self, states: Collection[JobState] = tuple(JobState)) -> dict[JobState, int]:
        """How many jobs are in each state."""
        query = select(jobs.c.state, func.count()).where(self.mine(jobs)).group_by(jobs.c.state)
        found = self.database.read(lambda c: {JobState(s): int(n) for s, n in c.execute(query)})
        return {s: found.get(s, 0) for s in states}
