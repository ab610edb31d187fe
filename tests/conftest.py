"""Both databases, migrated once per session and copied for each test."""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

from core.jobs.migrate import upgrade
from core.jobs.store import Store
from core.jobs.tables import metadata
from tests import postgres
from tests.faults.conftest import record  # noqa: F401

# Test files run side by side, one per core; torch, loaded later, would take all cores for each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_RUN = "PYTEST_RUN"
"""Tells the processes of one run from others."""

_LONG_FIRST = ("faults", "malformed", "foglab", "dashboard", "worker", "deploy", "benchmarks")
"""Folders whose files take longest: started last, one of them would run alone at the end."""

_running: dict[str, float] = {}

# A busy machine is slow, not wrong.
settings.register_profile("foglab", deadline=None)
settings.load_profile("foglab")


def pytest_configure(config: pytest.Config) -> None:
    """Name the run, for all processes that it starts; a run inside a test is one of its own."""
    if not hasattr(config, "workerinput"):
        os.environ[_RUN] = str(os.getpid())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files; `--no-loadscope-reorder` keeps this order."""

    def rank(item: pytest.Item) -> int:
        folder = item.nodeid.split("/")[1]
        return _LONG_FIRST.index(folder) if folder in _LONG_FIRST else len(_LONG_FIRST)

    items.sort(key=rank)


def pytest_runtest_logstart(nodeid: str) -> None:
    _running[nodeid] = time.monotonic()


def pytest_runtest_logfinish(nodeid: str) -> None:
    _running.pop(nodeid, None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that a run which is interrupted did not see the end of."""
    for nodeid, began in _running.items():
        seconds = time.monotonic() - began
        terminalreporter.write_line(f"not ended after {seconds:.0f} s: {nodeid}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell a failure at once: a run that is stopped from outside prints no summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        sys.stdout.write(
            f"\n{report.nodeid} failed in {report.when}\n{report.longreprtext[-4000:]}\n"
        )


@pytest.hookimpl(trylast=True)  # after the fixtures of a run that was interrupted
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End what a test process that had to be killed left running, and may hold the output open."""
    if hasattr(session.config, "workerinput"):
        return
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = process.environ().get(_RUN) == os.environ[_RUN]
            if ours and process.pid != os.getpid() and process.ppid() != os.getpid():
                process.kill()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "foglab.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Path]:
    with postgres.server() as folder:
        postgres.execute(folder, "CREATE DATABASE template")
        upgrade(postgres.address(folder, "template"))
        yield folder


@pytest.fixture
def sqlite_url(sqlite_template: Path) -> Iterator[str]:
    """Address of an empty, migrated SQLite database."""
    with tempfile.TemporaryDirectory(prefix="foglab-", dir=postgres.scratch()) as folder:
        path = Path(folder) / "foglab.db"
        shutil.copyfile(sqlite_template, path)
        yield f"sqlite:///{path}"


@pytest.fixture(scope="session")
def postgres_database(postgres_server: Path) -> str:
    postgres.execute(postgres_server, "CREATE DATABASE tests TEMPLATE template")
    return postgres.address(postgres_server, "tests")


@pytest.fixture
def postgres_url(postgres_server: Path, postgres_database: str) -> str:
    """Address of an empty, migrated PostgreSQL database; the same one for every test."""
    tables = ", ".join(t.name for t in metadata.sorted_tables if t.name != "projects")
    postgres.execute(postgres_server, f"TRUNCATE {tables} RESTART IDENTITY", "tests")
    postgres.execute(postgres_server, "DELETE FROM projects WHERE name <> 'default'", "tests")
    return postgres_database


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Runs the test on both databases."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def open_store() -> Iterator[Callable[..., Store]]:
    """`Store.open` whose stores are closed after the test."""
    opened: list[Store] = []

    def open_one(url: str, **options: Callable[[], float]) -> Store:
        opened.append(Store.open(url, **options))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(database_url: str, open_store: Callable[..., Store]) -> Store:
    """An empty store, on both databases in turn."""
    return open_store(database_url)


@pytest.fixture(scope="session")
def exported_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy in all formats, made once: tracing it takes seconds."""
    from tests.stages.policy_maker import export, make_policy  # torch, for those who need it

    home = tmp_path_factory.mktemp("exported")
    make_policy(home)
    export(home, home / "out")
    return home / "out" / "policy"
