"""The database row is the job: this is the only door to the rows."""

import time
from collections.abc import Callable

from core.jobs.database import Database
from core.jobs.queries import Queries
from core.jobs.registry import Registry
from core.jobs.submission import Submission, Submissions
from core.jobs.tokens import Tokens
from core.jobs.transitions import Transitions

__all__ = ["Store", "Submission"]


class Store(Submissions, Transitions, Queries, Registry, Tokens):
    """Jobs, artifacts, uploads and tokens. Safe to use from many threads and processes.

    Every method raises `core.jobs.errors.StoreUnavailable` if the database cannot be reached.
    """

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], float] = time.time) -> "Store":
        """Open a database that `core.jobs.migrate.upgrade(url)` has prepared."""
        return cls(Database(url), clock)

    def close(self) -> None:
        self.database.close()
