"""Bring a database to the newest schema; safe to run twice, at once, and after a kill.

`python -m core.jobs.migrate` does it for the database of the environment.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from core.jobs.database import make_engine
from core.jobs.environment import Environment

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
            connection = connection.execution_options(sqlite_immediate=True)
            with connection.begin():
                if engine.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                command.upgrade(_config(connection), revision)
    finally:
        engine.dispose()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


if __name__ == "__main__":
    upgrade(Environment.read().database_url)
