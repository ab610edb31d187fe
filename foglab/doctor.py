"""`foglab doctor`: what is right and what is wrong with an installation, and what to do."""

import importlib.metadata
import importlib.util
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.jobs.environment import Environment
from foglab.client import ServiceClient
from foglab.transport import ServiceError

MIN_FREE_BYTES = 5 << 30
SAFE_SQLITE = (3, 51, 3)


@dataclass(frozen=True)
class Finding:
    """One check: whether it is well, and if not, what to do."""

    what: str
    well: bool
    told: str


def findings(environment: Environment, client: Callable[[], ServiceClient]) -> list[Finding]:
    """All checks; none of them changes anything."""
    return [
        _python(),
        *_packages(),
        _sqlite(environment),
        *_home(environment.home),
        _isolation(),
        _database(environment),
        _service(client),
        _processors(),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    well = (3, 11) <= sys.version_info[:2] < (3, 13)
    return Finding("Python", well, version if well else f"{version}; use 3.11 or 3.12")


def _packages() -> Iterator[Finding]:
    for name in ("torch", "celery", "fastapi", "streamlit", "av"):
        try:
            yield Finding(name, True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, False, "is not installed; run `make setup` again")


def _sqlite(environment: Environment) -> Finding:
    if not environment.database_url.startswith("sqlite"):
        return Finding("SQLite", True, "not used")
    if importlib.util.find_spec("pysqlite3") is not None:
        return Finding("SQLite", True, f"pysqlite3 {importlib.metadata.version('pysqlite3')}")
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= SAFE_SQLITE:
        return Finding("SQLite", True, version)
    return Finding("SQLite", True, f"{version}, too old for WAL: slower journal is used")


def _home(home: Path) -> Iterator[Finding]:
    if not home.is_dir():
        yield Finding("Storage", False, f"{home} does not exist; `foglab up` makes it")
        return
    well = os.access(home, os.W_OK)
    yield Finding("Storage", well, f"{home}" if well else f"{home} is not writable for you")
    free = shutil.disk_usage(home).free
    told = f"{free / 1e9:.1f} GB free"
    yield Finding(
        "Disk", free > MIN_FREE_BYTES, told if free > MIN_FREE_BYTES else f"{told}; make room"
    )


def _isolation() -> Finding:
    from core.sandbox import support

    found = support()
    told = f"{found}; {found.missing}" if found.missing else str(found)
    return Finding("Isolation", found.full, f"uploads are read under {told}")


def _database(environment: Environment) -> Finding:
    from core.jobs.errors import StoreError
    from core.jobs.store import Store

    path = environment.database_url.removeprefix("sqlite:///")
    if environment.database_url.startswith("sqlite") and not Path(path).exists():
        return Finding("Database", False, f"{path} does not exist; `foglab up` makes it")
    try:
        store = Store.open(environment.database_url)
        try:
            counts = store.counts()
        finally:
            store.close()
    except StoreError as error:
        return Finding("Database", False, f"{error}; check FOGLAB_DATABASE_URL")
    return Finding(
        "Database", True, ", ".join(f"{n} {s}" for s, n in counts.items() if n) or "empty"
    )


def _service(client: Callable[[], ServiceClient]) -> Finding:
    try:
        with client() as service:
            service.ready()
            service.jobs(limit=1)
            return Finding("Service", True, f"{service.url} answers and takes the token")
    except ServiceError as error:
        return Finding("Service", False, str(error))


def _processors() -> Finding:
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"))
    gpus = f", {len(devices)} NVIDIA device{'s' if len(devices) != 1 else ''}"
    return Finding(
        "Processors", True, f"{os.cpu_count()} CPU cores{gpus if devices else ', no GPU'}"
    )
