"""Projects: whose uploads, jobs and artifacts are whose."""

import re
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from core.jobs.errors import ProjectNotFound, QuotaExceeded
from core.jobs.records import Project
from core.jobs.rows import Rows
from core.jobs.tables import announced_uploads, projects, uploads

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")


class Projects(Rows):
    """Who shares an installation, and how much each may upload."""

    def add_project(self, name: str, upload_quota: int | None = None) -> Project:
        """A project, new or with a new quota in bytes. Raises `ValueError` for a bad name."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no project name: use a-z, 0-9 and -, at most 60")

        def work(connection: Connection) -> Project:
            values = {"upload_quota": upload_quota}
            known = update(projects).where(projects.c.name == name).values(**values)
            if connection.execute(known).rowcount == 0:
                new = insert(projects).values(name=name, created_at=self.clock(), **values)
                connection.execute(new)
            return Project.model_validate(project_row(connection, name))

        return self.database.write(work)

    def list_projects(self) -> list[Project]:
        """All that may be seen, by name."""
        query = select(projects).order_by(projects.c.name)
        if self.project is not None:
            query = query.where(projects.c.name == self.project)
        rows = self.database.read(lambda c: c.execute(query).all())
        return [Project.model_validate(r) for r in rows]

    def uploaded_bytes(self) -> int:
        """Bytes of finished and of announced uploads."""
        return self.database.read(self._uploaded)

    def announce_upload(self, upload_id: str, size: int, quota: int | None) -> None:
        """Take `size` bytes of the quota (the project's own, else `quota`; None: no limit).

        Raises `QuotaExceeded`. Uploads that race take it one after the other.
        """

        def work(connection: Connection) -> None:
            row = project_row(connection, self.own, lock=True)
            most = quota if row.upload_quota is None else row.upload_quota
            used = 0 if most is None else self.of_own()._uploaded(connection)
            if most is not None and used + size > most:
                raise QuotaExceeded(size, used, most)
            new = {"id": upload_id, "project": self.own, "size": size, "created_at": self.clock()}
            connection.execute(insert(announced_uploads).values(**new))

        self.database.write(work)

    def of_own(self) -> "Projects":
        """The same, limited to one project even if this one is not."""
        return Projects(self.database, self.clock, self.own)

    def _uploaded(self, connection: Connection) -> int:
        there = (uploads.c.removed_at.is_(None), self.mine(uploads))
        coming = (self.mine(announced_uploads),)
        total = 0
        for table, which in ((uploads, there), (announced_uploads, coming)):
            query = select(func.coalesce(func.sum(table.c.size), 0)).where(*which)
            total += int(connection.execute(query).scalar_one())
        return total


def project_row(connection: Connection, name: str, *, lock: bool = False) -> Row[Any]:
    """Raises `ProjectNotFound`."""
    query = select(projects).where(projects.c.name == name)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise ProjectNotFound(name)
    return row
