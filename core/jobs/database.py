"""One engine for SQLite and PostgreSQL, with writes that are serialised and durable."""

import importlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.jobs.errors import StoreFull, StoreUnavailable

T = TypeVar("T")
BUSY_SECONDS = 5.0
_RETRIES = 5
_SAFE_WAL = (3, 51, 3)  # older libraries can corrupt a WAL that is reset under several processes
WRITES = {"sqlite_begin": "BEGIN IMMEDIATE"}
"""Execution options of a connection that writes."""
_ALONE = {"sqlite_begin": None}
_DISK_FULL = "53100"  # PostgreSQL; SQLite says it in words
_CONFLICTS = ("40001", "40P01")  # PostgreSQL: serialization failure, deadlock


class Database:
    """Runs functions in transactions: `read` on a snapshot, `write` alone and durable."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self._alone = self.engine.execution_options(**_ALONE)
        sqlite = self.engine.dialect.name == "sqlite"
        # A read of a few rows takes no longer than the reading: neither a network nor, as
        # write-ahead logging keeps them apart, a writer is in between.
        self.waits_for_nobody = sqlite and sqlite_is_safe()
        # SQLite's own waiting is polling without order; threads of one process queue here instead.
        self._turn = threading.Lock() if self.engine.dialect.name == "sqlite" else nullcontext()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Raises `StoreUnavailable` if the database cannot be reached."""
        return _reading(self.engine.begin, work)

    def look(self, work: Callable[[Connection], T]) -> T:
        """`read` for work of a single statement, which is a snapshot of its own: a transaction
        around it costs as much again. Raises as `read` does."""
        return _reading(self._alone.connect, work)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Commit what `work` did, or nothing. Two racing inserts of one key: the loser looks again.

        Raises `StoreUnavailable` if the database cannot be reached or stays busy.
        """
        for attempt in range(_RETRIES):
            try:
                with self._turn, self.engine.connect() as connection:
                    connection = connection.execution_options(**WRITES)
                    with connection.begin():
                        return work(connection)
            except (DBAPIError, PoolTimeout) as error:
                if _conflict(error) and attempt < _RETRIES - 1:
                    continue
                if isinstance(error, OperationalError | PoolTimeout):
                    raise _unavailable(error) from error
                raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        self.engine.dispose()


def _reading(
    connect: Callable[[], AbstractContextManager[Connection]], work: Callable[[Connection], T]
) -> T:
    try:
        with connect() as connection:
            return work(connection)
    except (OperationalError, PoolTimeout) as error:
        raise _unavailable(error) from error


def make_engine(url: str, *, statement_seconds: float | None = 10.0) -> Engine:
    """Engine for `sqlite:///…` or `postgresql://…`; a statement never hangs for ever."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed)
    options = f"-c statement_timeout={int(statement_seconds * 1000)}" if statement_seconds else ""
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,  # a restarted server is noticed before the statement, not by it
        connect_args={"connect_timeout": 5, "options": options},
    )


def _sqlite_engine(url: URL) -> Engine:
    module = sqlite_module()
    engine = create_engine(url, module=module, connect_args={"timeout": BUSY_SECONDS})
    journal = "WAL" if sqlite_is_safe() else "TRUNCATE"

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions on its own
        cursor = connection.cursor()
        if cursor.execute("PRAGMA journal_mode").fetchone()[0].upper() != journal:
            cursor.execute(f"PRAGMA journal_mode={journal}")
        cursor.execute("PRAGMA synchronous=FULL")  # an acknowledged row survives power loss
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that turns into a writer fails at once when another one wrote
        # in between, without waiting; so a writer takes its lock at the start.
        statement = connection.get_execution_options().get("sqlite_begin", "BEGIN")
        if statement is not None:
            connection.exec_driver_sql(statement)

    return engine


def sqlite_module() -> ModuleType:
    """The newest SQLite at hand: the bundled wheel if it is installed, else Python's own."""
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return importlib.import_module("sqlite3.dbapi2")


def sqlite_is_safe() -> bool:
    """Whether the SQLite in use may have several processes on a write-ahead log."""
    return bool(sqlite_module().sqlite_version_info >= _SAFE_WAL)


def _conflict(error: Exception) -> bool:
    if isinstance(error, IntegrityError):
        return True
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _CONFLICTS


def _unavailable(error: Exception) -> StoreUnavailable:
    told = _reason(error)
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    full = state == _DISK_FULL or told == "database or disk is full"
    return StoreFull(told) if full else StoreUnavailable(told)


def _reason(error: Exception) -> str:
    """The driver's first line: no statement, no parameters."""
    original = getattr(error, "orig", None) or error
    return str(original).strip().split("\n", 1)[0] or type(original).__name__
