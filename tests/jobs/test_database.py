"""The ground the store stands on."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from core.jobs.database import Database, sqlite_module
from core.jobs.environment import Environment, broker_socket
from core.jobs.errors import StoreUnavailable
from core.jobs.migrate import upgrade
from core.jobs.store import Store
from core.jobs.tables import metadata
from tests.jobs.makers import ingest


def test_migrations_make_the_tables_of_the_code(database_url: str) -> None:
    database = Database(database_url)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_migrating_again_changes_nothing(store: Store, database_url: str) -> None:
    job = store.submit(ingest(store), "ingest")
    upgrade(database_url)
    assert store.get(job.id) == job


def test_racing_migrations_end_well(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/foglab.db"
    code = f"from core.jobs.migrate import upgrade; upgrade({url!r})"
    racers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [r.wait(60) for r in racers] == [0, 0, 0]


def test_sqlite_is_safe_for_several_processes(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.engine.connect() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    database.close()
    safe = sqlite_module().sqlite_version_info >= (3, 51, 3)
    assert mode == ("wal" if safe else "truncate")


def test_failed_work_leaves_nothing(store: Store) -> None:
    upload = ingest(store).upload

    def work(connection: Connection) -> None:
        connection.execute(metadata.tables["uploads"].delete())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.database.write(work)
    assert store.get_upload(upload)


def test_database_that_is_away_is_told_apart(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such.db", f"postgresql://x@/x?host={tmp_path}"):
        store = Store.open(url)
        with pytest.raises(StoreUnavailable):
            store.counts()
        store.close()


def test_writers_in_threads_all_get_through(store: Store) -> None:
    spec = ingest(store)

    def submit() -> None:
        for _ in range(5):
            store.submit(spec, "one")

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.list_jobs(limit=100)) == 40


_WRITER = """
import sys
from core.jobs.spec import IngestSpec
from core.jobs.store import Store
store = Store.open(sys.argv[1])
while True:
    print(store.submit(IngestSpec(upload=sys.argv[2], name="x"), "x").id, flush=True)
"""


def test_acknowledged_rows_survive_kill_9_of_the_writer(
    database_url: str, open_store: Callable[..., Store]
) -> None:
    store = open_store(database_url)
    upload = ingest(store).upload
    for _ in range(2):
        command = [sys.executable, "-c", _WRITER, database_url, upload]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            try:
                acknowledged = [writer.stdout.readline().strip() for _ in range(20)]
                time.sleep(0.02)
            finally:
                writer.kill()
            acknowledged += writer.stdout.read().split()
        whole = [a for a in acknowledged if len(a) == len(acknowledged[0])]
        kept = {j.id for j in store.list_jobs(limit=10_000)}
        assert set(whole) <= kept


def test_environment_has_defaults_under_home_and_a_socket_path_the_kernel_takes(
    tmp_path: Path,
) -> None:
    short = Environment.read({"FOGLAB_HOME": "/srv/lab"})
    assert short.database_url == "sqlite:////srv/lab/foglab.db"
    assert short.broker_url == "redis+socket:///srv/lab/run/broker.sock?virtual_host=0"
    deep = Path("/" + "x" * 200)
    assert len(str(broker_socket(deep))) < 108
    assert broker_socket(deep) == broker_socket(deep)
    assert broker_socket(deep) != broker_socket(deep / "y")
    assert Environment.read(short.variables()) == short
