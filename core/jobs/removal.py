"""Deleting what jobs have made: refused while something still needs it.

Only the row goes here. The files go with the next clearing up, as of anything no row names.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Row,
    Text,
    bindparam,
    cast,
    delete,
    or_,
    select,
    update,
)

from core.jobs.errors import ArtifactNotFound, StillNeeded, UploadNotFound
from core.jobs.records import Artifact, JobState
from core.jobs.rows import Rows
from core.jobs.spec import Kind, inputs, spec_adapter
from core.jobs.tables import artifacts, jobs, uploads

_UPLOAD = (
    select(uploads.c.project, uploads.c.removed_at)
    .where(uploads.c.id == bindparam("upload"))
    .with_for_update(read=True)
)
"""Built once: every job that reads an upload asks."""
_UNFINISHED = (JobState.QUEUED.value, JobState.RUNNING.value)


class Removals(Rows):
    """The way out."""

    def delete_artifact(self, artifact_id: str, *, with_products: bool = False) -> list[str]:
        """Forget an artifact, and with `with_products` all that was made of it; their ids.

        Raises `ArtifactNotFound`, or `StillNeeded` for what was made of it or is about to read it.
        """
        mine = select(artifacts).where(artifacts.c.id == artifact_id, self.mine(artifacts))

        def work(connection: Connection) -> list[str]:
            # The lock keeps new jobs from naming it: see `hold_input`.
            row = connection.execute(mine.with_for_update()).first()
            if row is None:
                raise ArtifactNotFound(artifact_id)
            going = {artifact_id: Artifact.model_validate(row)}
            waiting = [artifact_id]
            while waiting:
                _refuse_if_read(connection, artifact_id, waiting)
                made = {a.id: a for a in _made_of(connection, waiting) if a.id not in going}
                if made and not with_products:
                    told = [f"{a.id} ({a.kind} {a.name!r})" for a in made.values()]
                    raise StillNeeded(artifact_id, told, "made of it")
                going |= made
                waiting = list(made)
            connection.execute(delete(artifacts).where(artifacts.c.id.in_(list(going))))
            return list(going)

        return self.database.write(work)

    def remove_upload(self, upload_id: str) -> None:
        """Mark a finished upload as removed, and forget what was seen in it; its files go next.

        Datasets that were made of it stay: they hold all that they need. Raises `UploadNotFound`,
        or `StillNeeded` while a job is about to read it.
        """
        mine = select(uploads).where(uploads.c.id == upload_id, self.mine(uploads))

        def work(connection: Connection) -> None:
            # The lock keeps new jobs from naming it: see `hold_upload`.
            if connection.execute(mine.with_for_update()).first() is None:
                raise UploadNotFound(upload_id)
            _refuse_if_read(connection, upload_id, [upload_id])
            seen = [a.id for a in _made_of(connection, [upload_id]) if a.kind is Kind.DETECT]
            connection.execute(delete(artifacts).where(artifacts.c.id.in_(seen)))
            gone = update(uploads).where(uploads.c.id == upload_id, uploads.c.removed_at.is_(None))
            connection.execute(gone.values(removed_at=self.clock()))

        self.database.write(work)


def hold_upload(connection: Connection, upload_id: str) -> Row[Any] | None:
    """The row of a finished upload, kept from being removed until this transaction ends."""
    found: Any = connection.execute(_UPLOAD, {"upload": upload_id})
    row: Row[Any] | None = found.first()
    return row


def hold_input(connection: Connection, artifact_id: str) -> Row[Any] | None:
    """The artifact's row, kept from being deleted until this transaction ends."""
    query = select(artifacts).where(artifacts.c.id == artifact_id)
    return connection.execute(query.with_for_update(read=True)).first()


def deleted_input(connection: Connection, spec: Any) -> str | None:
    """An input of a job that was made once and is no more; those that are there are held."""
    for name, identifier in inputs(spec_adapter.validate_python(spec)).items():
        if name == "upload":
            upload = hold_upload(connection, identifier)
            if upload is None or upload.removed_at is not None:
                return identifier
            continue
        made = select(jobs.c.id).where(jobs.c.output_id == identifier)
        made = made.where(jobs.c.state == JobState.SUCCEEDED.value)
        if hold_input(connection, identifier) is None and connection.execute(made).first():
            return identifier
    return None


def _refuse_if_read(connection: Connection, artifact_id: str, going: Iterable[str]) -> None:
    wanted = set(going)
    query = select(jobs).where(jobs.c.state.in_(_UNFINISHED), _names(jobs.c.spec, wanted))
    told = [
        f"{job.id} ({job.kind} {job.name!r}, {job.state})"
        for job in connection.execute(query.order_by(jobs.c.seq))
        if wanted & set(inputs(spec_adapter.validate_python(job.spec)).values())
    ]
    if told:
        raise StillNeeded(artifact_id, told, "jobs that read it or what was made of it")


def _made_of(connection: Connection, sources: Iterable[str]) -> list[Artifact]:
    """What was made directly of any of `sources`, locked. Looked at after the jobs, which make more of it."""
    wanted = set(sources)
    query = select(artifacts).where(_names(artifacts.c.lineage, wanted)).order_by(artifacts.c.seq)
    found = map(Artifact.model_validate, connection.execute(query.with_for_update()))
    return [a for a in found if wanted & set(a.lineage)]


def _names(column: Column[Any], identifiers: Iterable[str]) -> Any:
    """Condition of rows whose JSON may name one of them; Python looks closer."""
    text = cast(column, Text)
    return or_(*(text.contains(identifier, autoescape=True) for identifier in identifiers))
