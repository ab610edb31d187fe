"""Bring a database to the newest schema; safe to run twice, at once, and after a kill.

`python -m core.jobs.migrate` does it for the database of the environment.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from core.jobs.database import WRITES, make_engine
from core.jobs.environment import Environment
from core.jobs.errors import StoreUnavailable

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x0F061AB  # any constant; all migrating processes take the same advisory lock


def upgrade(url: str, revision: str = "head") -> None:
    """Apply all missing migrations in one transaction; creates the folder of a SQLite file."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = make_engine(url, statement_seconds=None)
    try:
        with engine.connect() as connection:
            connection = connection.execution_options(**WRITES)
            with connection.begin():
                if engine.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                command.upgrade(_config(connection), revision)
    finally:
        engine.dispose()


def revisions(url: str) -> tuple[str | None, str | None]:
    """Revision of the schema that a database has, and the newest; None: it has no tables.

    Changes nothing. Raises `StoreUnavailable` if it cannot be asked.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        raise StoreUnavailable(f"{parsed.database} does not exist; `foglab up` makes it")
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
            newest = ScriptDirectory.from_config(_config(connection)).get_current_head()
    except DBAPIError as error:
        raise StoreUnavailable(str(error.orig)) from error
    finally:
        engine.dispose()
    return found, newest


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


if __name__ == "__main__":
    upgrade(Environment.read().database_url)
