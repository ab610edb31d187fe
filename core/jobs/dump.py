"""A whole database to one file and back, with each database's own means."""

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import make_url

from core.jobs.database import make_engine, sqlite_module

SQLITE, POSTGRESQL = "database.sqlite3", "database.pgdump"
NAMES = (SQLITE, POSTGRESQL)


class DumpError(ValueError):
    """The database could not be copied; the message says why and what to do."""


def dump(url: str, target: Path) -> str:
    """Copy a live database to `target`; returns which of `NAMES` it is."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        _run("pg_dump", url, "--format=custom", "--no-owner", f"--file={target}")
        return POSTGRESQL
    if not parsed.database or not Path(parsed.database).exists():
        raise DumpError(f"{parsed.database} does not exist: there is nothing to back up")
    module = sqlite_module()
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600))
    with (
        closing(module.connect(parsed.database)) as source,
        closing(module.connect(str(target))) as copy,
    ):
        source.backup(copy)  # one consistent state, while others write
        copy.execute("PRAGMA journal_mode=DELETE")  # all of it in the one file
    return SQLITE


def check_empty(url: str, name: str) -> None:
    """Raise `DumpError` unless a dump of this kind can go into the database of `url`."""
    parsed = make_url(url)
    if (name == SQLITE) != (parsed.get_backend_name() == "sqlite"):
        kind = "SQLite" if name == SQLITE else "PostgreSQL"
        raise DumpError(f"the backup is of {kind}; set FOGLAB_DATABASE_URL to one of the same kind")
    if name == SQLITE:
        if parsed.database and Path(parsed.database).exists():
            raise DumpError(f"{parsed.database} exists already; restore to a new database")
        return
    engine = make_engine(url)
    try:
        if inspect(engine).get_table_names():
            raise DumpError("the database has tables already; restore into an empty one")
    finally:
        engine.dispose()


def load(url: str, source: Path) -> None:
    """Fill the empty database of `url` from a dump."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        _run("pg_restore", url, "--no-owner", "--exit-on-error", "--single-transaction", source)
        return
    assert parsed.database
    target = Path(parsed.database)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.restoring")
    shutil.copyfile(source, beside)
    beside.chmod(0o600)
    with closing(sqlite_module().connect(str(beside))) as connection:
        told = connection.execute("PRAGMA integrity_check").fetchone()[0]
    if told != "ok":
        raise DumpError(f"the database in the backup is damaged: {told}")
    beside.rename(target)


def _run(program: str, url: str, *arguments: str | Path) -> None:
    found = shutil.which(program) or _newest(program)
    if found is None:
        raise DumpError(
            f"{program} was not found: install PostgreSQL's client programs, "
            "or use pg_dump where the database runs (docs/deploy.md)"
        )
    parsed = make_url(url).set(drivername="postgresql")
    # The password goes by the environment: a command line can be read by every user.
    environ = {**os.environ, **({"PGPASSWORD": parsed.password} if parsed.password else {})}
    address = parsed.set(password=None).render_as_string(hide_password=False)
    ended = subprocess.run(
        [found, *map(str, arguments), f"--dbname={address}"],
        env=environ,
        capture_output=True,
        text=True,
    )
    if ended.returncode != 0:
        told = ended.stderr.strip().split("\n")[0]
        raise DumpError(f"{program} failed: {told}")


def _newest(program: str) -> str | None:
    paths = Path("/usr/lib/postgresql").glob(f"*/bin/{program}")
    newest = max(paths, key=lambda p: float(p.parent.parent.name), default=None)
    return str(newest) if newest else None
