"""Workers that say they are there."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update

from core.jobs.records import Gpu, JobState, Worker
from core.jobs.rows import Rows
from core.jobs.spec import QUEUES
from core.jobs.tables import jobs, workers

GONE_SECONDS = 60.0
"""A worker that was silent for so long is not counted on."""
FORGET_SECONDS = 86_400.0


def alive(workers: Sequence[Worker], now: float) -> list[Worker]:
    """Those that are counted on."""
    return [w for w in workers if now - w.seen_at < GONE_SECONDS]


def unserved(workers: Sequence[Worker]) -> list[str]:
    """Queues that none of them works on."""
    return sorted(set(QUEUES.values()) - {q for w in workers for q in w.queues})


class Presence(Rows):
    """For people and for /readyz. No job is given to another worker because of this."""

    def worker_seen(self, worker_id: str, queues: Sequence[str], gpus: Sequence[Gpu] = ()) -> None:
        """A worker says that it lives; those not seen for a day are forgotten."""
        now = self.clock()
        told = {"queues": list(queues), "gpus": [g.model_dump() for g in gpus], "seen_at": now}

        def work(connection: Connection) -> None:
            known = update(workers).where(workers.c.id == worker_id).values(**told)
            if connection.execute(known).rowcount == 0:
                new = insert(workers).values(id=worker_id, started_at=now, **told)
                connection.execute(new)
                connection.execute(delete(workers).where(workers.c.seen_at < now - FORGET_SECONDS))

        self.database.write(work)

    def worker_left(self, worker_id: str) -> None:
        """A worker ends as it should."""
        self.database.write(lambda c: c.execute(delete(workers).where(workers.c.id == worker_id)))

    def list_workers(self) -> list[Worker]:
        """All workers of the installation, with the jobs that they hold."""
        held = select(jobs.c.owner, jobs.c.id, jobs.c.project).where(
            jobs.c.state == JobState.RUNNING.value
        )

        def work(connection: Connection) -> list[Worker]:
            holds = {r.owner: (str(r.id), str(r.project)) for r in connection.execute(held)}
            rows = connection.execute(select(workers).order_by(workers.c.id)).all()
            return [
                Worker.model_validate(
                    {
                        **row._mapping,
                        "busy": row.id in holds,
                        "job_id": self._visible(holds.get(row.id)),
                    }
                )
                for row in rows
            ]

        return self.database.read(work)

    def _visible(self, job: tuple[str, str] | None) -> str | None:
        """Id of a job (id, project), unless it is another project's."""
        return job[0] if job is not None and self.project in (None, job[1]) else None
