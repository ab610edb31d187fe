"""Putting jobs in: inputs checked, dependencies added, a repeated request answered as before."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, Connection, Select, insert, select

from core.jobs.errors import IdempotencyConflict, JobNotFound, UnknownInput
from core.jobs.ids import new_id, new_output_id
from core.jobs.records import Job, JobState
from core.jobs.removal import hold_input, hold_upload
from core.jobs.rows import Rows, as_jobs, one_job
from core.jobs.spec import Kind, Spec, inputs
from core.jobs.tables import job_dependencies, jobs

MAX_ATTEMPTS = 3
log = logging.getLogger("foglab.jobs")
_INPUT_KINDS: dict[str, tuple[Kind, ...]] = {
    "dataset": (Kind.INGEST, Kind.DERIVE),
    "merge": (Kind.INGEST, Kind.DERIVE),
    "global_model": (Kind.GLOBAL_MODEL,),
    "local_model": (Kind.LOCAL_MODEL,),
    "policy": (Kind.POLICY,),
    "source": (Kind.INGEST, Kind.DERIVE, Kind.ROLLOUT),
}
"""Kinds of jobs that make what a field names; for others, those of the job's own kind."""
_NOUNS = {
    Kind.DETECT: "detection",
    Kind.INGEST: "dataset",
    Kind.DERIVE: "dataset",
    Kind.EVALUATE: "evaluation",
}

_NEW_JOB, _NEW_LINK = insert(jobs), insert(job_dependencies)
"""Built once, and given their values when they run: building them takes as long as running them."""


@dataclass(frozen=True)
class Submission:
    """One job to put in; `output_id` may be chosen before so that later specs can name it."""

    spec: Spec
    name: str
    depends_on: Sequence[str] = ()
    output_id: str | None = None
    max_attempts: int = MAX_ATTEMPTS
    job_id: str = field(default_factory=lambda: new_id("job"))


class Submissions(Rows):
    """The way in."""

    def submit(
        self,
        spec: Spec,
        name: str,
        depends_on: Sequence[str] = (),
        *,
        idem_key: str | None = None,
        body_hash: str | None = None,
        submitter: str = "",
        output_id: str | None = None,
    ) -> Job:
        """Queue one job. The same `idem_key` of the same submitter returns the job of before.

        Raises `UnknownInput`, `JobNotFound` (a dependency), `IdempotencyConflict`.
        """
        one = Submission(spec, name, depends_on, output_id)
        return self.submit_many([one], idem_key=idem_key, body_hash=body_hash, submitter=submitter)[
            0
        ]

    def submit_many(
        self,
        submissions: Sequence[Submission],
        *,
        idem_key: str | None = None,
        body_hash: str | None = None,
        submitter: str = "",
    ) -> list[Job]:
        """Queue a pipeline, all or nothing; a later spec may name the output of an earlier one."""
        if not submissions:
            return []

        def work(connection: Connection) -> list[Job]:
            if idem_key is not None:
                earlier = _earlier(connection, submitter, idem_key, body_hash)
                if earlier:
                    return earlier
            first = submissions[0].job_id
            for i, one in enumerate(submissions):
                key = (idem_key, body_hash) if i == 0 else (None, None)
                self._insert(
                    connection, one, first if len(submissions) > 1 else None, submitter, key
                )
            return [one_job(connection, s.job_id) for s in submissions]

        queued = self.database.write(work)
        log.info("queued", extra={"jobs": [job.id for job in queued]})
        return queued

    def _insert(
        self,
        connection: Connection,
        one: Submission,
        pipeline: str | None,
        submitter: str,
        key: tuple[str | None, str | None],
    ) -> None:
        spec = one.spec.model_dump(mode="json")
        kind = Kind(spec["kind"])
        waits = self._dependencies(connection, one, kind)
        row = {
            "id": one.job_id,
            "project": self.own,
            "kind": kind.value,
            "name": one.name,
            "spec": spec,
            "output_id": one.output_id or new_output_id(kind),
            "pipeline": pipeline,
            "state": JobState.QUEUED.value,
            "epoch": 0,
            "hb_seq": 0,
            "attempt": 0,
            "max_attempts": one.max_attempts,
            "cancel_requested": False,
            "submitter": submitter,
            "idem_key": key[0],
            "body_hash": key[1],
            "created_at": self.clock(),
        }
        connection.execute(_NEW_JOB, row)
        if waits:
            links = [{"job_id": one.job_id, "depends_on": job_id} for job_id in waits]
            connection.execute(_NEW_LINK, links)

    def _dependencies(self, connection: Connection, one: Submission, kind: Kind) -> list[str]:
        """Jobs to wait for: those named, and the unfinished makers of the spec's inputs."""
        waits: dict[str, None] = {}
        for job_id in one.depends_on:
            row = connection.execute(self._held(jobs.c.id, job_id)).first()
            if row is None:
                raise JobNotFound(job_id)
            if row.state in (JobState.FAILED, JobState.CANCELLED):
                raise UnknownInput("depends_on", job_id, f"is a job that {_ended(row.state)}")
            waits[job_id] = None
        for name, identifier in inputs(one.spec).items():
            wanted = _INPUT_KINDS.get(name.partition(".")[0], (kind,))
            maker = self._maker(connection, name, identifier, wanted)
            if maker is not None:
                waits[maker] = None
        return list(waits)

    def _maker(
        self, connection: Connection, name: str, identifier: str, wanted: Sequence[Kind]
    ) -> str | None:
        """Id of the unfinished job that makes an input; None if the input exists."""
        if name == "upload":
            upload = hold_upload(connection, identifier)
            if upload is not None and self.project in (None, upload.project):
                if upload.removed_at is None:
                    return None
                raise UnknownInput(name, identifier, "was removed; upload the logs again")
            raise UnknownInput(name, identifier, "is not a finished upload; upload the logs first")
        made = hold_input(connection, identifier)
        if made is not None and self.project not in (None, made.project):
            made = None
        maker = (
            None if made else connection.execute(self._held(jobs.c.output_id, identifier)).first()
        )
        if made is None and maker is None:
            raise UnknownInput(
                name, identifier, f"does not exist; name a {_nouns(wanted)} of this service"
            )
        kind = Kind(made.kind if made else maker.kind)  # type: ignore[union-attr]
        if kind not in wanted:
            raise UnknownInput(name, identifier, f"is a {_noun(kind)}, not a {_nouns(wanted)}")
        if maker is None:
            return None
        if maker.state == JobState.SUCCEEDED:
            raise UnknownInput(name, identifier, "was deleted")
        if maker.state in (JobState.FAILED, JobState.CANCELLED):
            reason = (
                f"was never made: its job {maker.id} {_ended(maker.state)}; retry that job first"
            )
            raise UnknownInput(name, identifier, reason)
        return str(maker.id)

    def _held(self, column: Column[Any], value: str) -> Select[Any]:
        """A job's row, kept from ending until this submission is committed.

        Without the lock a dependency could fail between our look and our commit, and the new job
        would wait for it for ever. (SQLite has one writer at a time and needs none.)
        """
        query = select(jobs.c.id, jobs.c.kind, jobs.c.state)
        return query.where(column == value, self.mine(jobs)).with_for_update(read=True)


def _earlier(
    connection: Connection, submitter: str, idem_key: str, body_hash: str | None
) -> list[Job]:
    """The jobs that the same request made before, in the order of submission."""
    mine = (jobs.c.submitter == submitter) & (jobs.c.idem_key == idem_key)
    first = connection.execute(select(jobs).where(mine)).first()
    if first is None:
        return []
    if first.body_hash != body_hash:
        raise IdempotencyConflict(idem_key)
    if first.pipeline is None:
        return as_jobs(connection, [first])
    together = select(jobs).where(jobs.c.pipeline == first.pipeline).order_by(jobs.c.seq)
    return as_jobs(connection, connection.execute(together))


def _ended(state: str) -> str:
    return "was cancelled" if state == JobState.CANCELLED else "failed"


def _nouns(kinds: Sequence[Kind]) -> str:
    return " or a ".join(dict.fromkeys(map(_noun, kinds)))


def _noun(kind: Kind) -> str:
    return _NOUNS.get(kind, kind.value.replace("_", " "))
