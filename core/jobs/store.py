"""The database row is the job: this is the only door to the rows."""

import time
from collections.abc import Callable
from copy import copy
from typing import Self

from core.jobs.database import Database
from core.jobs.overview import Overviews
from core.jobs.presence import Presence
from core.jobs.projects import Projects
from core.jobs.queries import Queries
from core.jobs.registry import Registry
from core.jobs.removal import Removals
from core.jobs.submission import Submission, Submissions
from core.jobs.tokens import Tokens
from core.jobs.transitions import Transitions
from core.jobs.webhooks import Webhooks

__all__ = ["Store", "Submission"]


class Store(
    Submissions,
    Transitions,
    Queries,
    Registry,
    Removals,
    Tokens,
    Projects,
    Presence,
    Overviews,
    Webhooks,
):
    """Jobs, artifacts, uploads, tokens, projects and workers. Safe to use from many threads and processes.

    Every method raises `core.jobs.errors.StoreUnavailable` if the database cannot be reached.
    """

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], float] = time.time) -> "Store":
        """Open a database that `core.jobs.migrate.upgrade(url)` has prepared."""
        return cls(Database(url), clock)

    def of(self, project: str) -> Self:
        """The same store as callers of one project see it: no row of another is there."""
        scoped = copy(self)
        scoped.project = project
        return scoped

    def close(self) -> None:
        self.database.close()
