"""Finished uploads, and the artifacts that jobs published."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from core.jobs.errors import ArtifactNotFound, UploadNotFound
from core.jobs.records import Artifact, ArtifactType, Upload
from core.jobs.rows import Rows
from core.jobs.spec import Kind
from core.jobs.tables import announced_uploads, artifacts, uploads


class Registry(Rows):
    """Rows whose files are complete on disk."""

    def register_upload(self, upload_id: str, filename: str, size: int, sha256: str) -> Upload:
        """List a finished upload; repeating it changes nothing. `size` in bytes.

        It belongs to the project that announced it, or else to this store's.
        """
        announced = announced_uploads.c.id == upload_id
        values = {
            "id": upload_id,
            "filename": filename,
            "size": size,
            "sha256": sha256,
            "created_at": self.clock(),
        }
        query = select(uploads).where(uploads.c.id == upload_id)

        def work(connection: Connection) -> Row[Any]:
            if connection.execute(query).first() is None:
                found = connection.execute(select(announced_uploads).where(announced)).first()
                project = found.project if found else self.own
                connection.execute(insert(uploads).values(project=project, **values))
                connection.execute(delete(announced_uploads).where(announced))
            row: Row[Any] = connection.execute(query).one()
            return row

        return Upload.model_validate(self.database.write(work))

    def get_upload(self, upload_id: str) -> Upload:
        """A finished upload, also one that was removed. Raises `UploadNotFound`."""
        query = select(uploads).where(uploads.c.id == upload_id, self.mine(uploads))
        row = self.database.read(lambda c: c.execute(query).first())
        if row is None:
            raise UploadNotFound(upload_id)
        return Upload.model_validate(row)

    def list_uploads(self, limit: int = 100) -> list[Upload]:
        """Finished uploads that are there, newest first."""
        query = select(uploads).where(uploads.c.removed_at.is_(None), self.mine(uploads))
        query = query.order_by(uploads.c.created_at.desc(), uploads.c.id).limit(limit)
        rows = self.database.read(lambda c: c.execute(query).all())
        return [Upload.model_validate(row) for row in rows]

    def removed_uploads(self) -> list[str]:
        """Ids of those whose bytes are to be gone."""
        query = select(uploads.c.id).where(uploads.c.removed_at.is_not(None))
        return self.database.read(lambda c: list(c.scalars(query)))

    def has_upload(self, upload_id: str) -> bool:
        """Whether there is such an upload that may be seen, finished or announced."""

        def work(connection: Connection) -> bool:
            for table in (uploads, announced_uploads):
                query = select(table.c.id).where(table.c.id == upload_id, self.mine(table))
                if connection.execute(query).first() is not None:
                    return True
            return False

        return self.database.read(work)

    def announced_uploads(self, older_than: float) -> list[str]:
        """Ids of uploads on their way that were announced before `older_than` (Unix seconds)."""
        old = announced_uploads.c.created_at < older_than
        query = select(announced_uploads.c.id).where(self.mine(announced_uploads), old)
        return list(self.database.read(lambda c: c.execute(query).scalars().all()))

    def forget_uploads(self, upload_ids: Collection[str]) -> None:
        """Give back what announced uploads took of the quota; their files are gone."""
        gone = announced_uploads.c.id.in_(list(upload_ids))
        self.database.write(lambda c: c.execute(delete(announced_uploads).where(gone)))

    def upload_sums(self) -> list[tuple[str, str]]:
        """Id and SHA-256 of every finished upload that is there."""
        query = select(uploads.c.id, uploads.c.sha256).where(uploads.c.removed_at.is_(None))
        query = query.order_by(uploads.c.created_at)
        return self.database.read(lambda c: [(r.id, r.sha256) for r in c.execute(query)])

    def artifact_ids(self) -> list[str]:
        """Of every artifact, oldest first."""
        query = select(artifacts.c.id).order_by(artifacts.c.seq)
        return self.database.read(lambda c: list(c.scalars(query)))

    def get_artifact(self, artifact_id: str) -> Artifact:
        """Raises `ArtifactNotFound`."""
        query = select(artifacts).where(artifacts.c.id == artifact_id, self.mine(artifacts))
        row = self.database.read(lambda c: c.execute(query).first())
        if row is None:
            raise ArtifactNotFound(artifact_id)
        return Artifact.model_validate(row)

    def list_artifacts(
        self,
        *,
        type: ArtifactType | None = None,
        kind: Kind | None = None,
        cursor: int | None = None,
        limit: int = 50,
    ) -> list[Artifact]:
        """Newest first; `cursor` is the `seq` of the last artifact of the page before."""
        query = select(artifacts).where(self.mine(artifacts))
        query = query.order_by(artifacts.c.seq.desc()).limit(limit)
        if type is not None:
            query = query.where(artifacts.c.type == type.value)
        if kind is not None:
            query = query.where(artifacts.c.kind == kind.value)
        if cursor is not None:
            query = query.where(artifacts.c.seq < cursor)
        rows = self.database.read(lambda c: c.execute(query).all())
        return [Artifact.model_validate(row) for row in rows]
