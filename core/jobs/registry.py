"""Finished uploads, and the artifacts that jobs published."""

from typing import Any

from sqlalchemy import Row, insert, select

from core.jobs.errors import ArtifactNotFound, UploadNotFound
from core.jobs.records import Artifact, ArtifactType, Upload
from core.jobs.rows import Rows
from core.jobs.spec import Kind
from core.jobs.tables import artifacts, uploads


class Registry(Rows):
    """Rows whose files are complete on disk."""

    def register_upload(self, upload_id: str, filename: str, size: int, sha256: str) -> Upload:
        """List a finished upload; repeating it changes nothing. `size` in bytes."""
        values = {
            "id": upload_id,
            "filename": filename,
            "size": size,
            "sha256": sha256,
            "created_at": self.clock(),
        }
        query = select(uploads).where(uploads.c.id == upload_id)

        def work(connection: Any) -> Row[Any]:
            if connection.execute(query).first() is None:
                connection.execute(insert(uploads).values(**values))
            row: Row[Any] = connection.execute(query).one()
            return row

        return Upload.model_validate(self.database.write(work))

    def get_upload(self, upload_id: str) -> Upload:
        """Raises `UploadNotFound`."""
        query = select(uploads).where(uploads.c.id == upload_id)
        row = self.database.read(lambda c: c.execute(query).first())
        if row is None:
            raise UploadNotFound(upload_id)
        return Upload.model_validate(row)

    def get_artifact(self, artifact_id: str) -> Artifact:
        """Raises `ArtifactNotFound`."""
        query = select(artifacts).where(artifacts.c.id == artifact_id)
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
        query = select(artifacts).order_by(artifacts.c.seq.desc()).limit(limit)
        if type is not None:
            query = query.where(artifacts.c.type == type.value)
        if kind is not None:
            query = query.where(artifacts.c.kind == kind.value)
        if cursor is not None:
            query = query.where(artifacts.c.seq < cursor)
        rows = self.database.read(lambda c: c.execute(query).all())
        return [Artifact.model_validate(row) for row in rows]
