"""P14, P18, P10: acknowledged rows, migrations, clearing up and the job engine under kill -9."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from core.artifacts import Artifacts
from core.jobs.database import Database
from core.jobs.leftovers import FAMILIES
from core.jobs.migrate import upgrade
from core.jobs.records import NewArtifact
from core.jobs.store import Store
from core.jobs.tables import metadata
from tests import postgres
from tests.faults.conftest import Record, rounds
from tests.faults.forker import Forker
from tests.jobs.makers import claimed, ingest
from tests.worker.conftest import wait_until


def test_acknowledged_rows_survive_kill_9(
    database_url: str, open_store: Callable[..., Store], tmp_path: Path, record: Record
) -> None:
    """Two writers at once; the older one is killed at a random moment after its first rows."""
    store = open_store(database_url)
    upload = ingest(store).upload
    chance = random.Random(1)
    kills, kept = rounds(10, 200), 0
    with Forker() as forker:

        def start(n: int) -> tuple[int, Path]:
            log = tmp_path / str(n)
            return forker.start("write", database_url, upload, log), log

        writers = [start(0)]
        for n in range(kills):
            writers.append(start(n + 1))
            child, log = writers.pop(0)
            wait_until(lambda log=log: log.exists() and log.stat().st_size > 0, 60)
            time.sleep(chance.uniform(0, 0.05))
            forker.kill(child)
            acknowledged = set(log.read_text().split())
            assert acknowledged <= set(store.job_ids())
            kept += len(acknowledged)
            _check_integrity(database_url, store)
    kind = store.database.engine.dialect.name
    record("P14", what=f"kill -9 of a writer, {kind}", tried=kills, held=kills, rows_kept=kept)


def test_acknowledged_rows_survive_a_server_that_stops_at_once(
    tmp_path: Path, open_store: Callable[..., Store], record: Record
) -> None:
    """PostgreSQL ends without a word while four processes write, and recovers at its start."""
    chance = random.Random(3)
    stops, kept = rounds(2, 50), 0
    with postgres.stoppable() as server, Forker() as forker:
        postgres.execute(server.folder, "CREATE DATABASE stopped")
        url = postgres.address(server.folder, "stopped")
        upgrade(url)
        upload = ingest(open_store(url)).upload
        for n in range(stops):
            logs = [tmp_path / f"{n}-{i}" for i in range(4)]
            children = [forker.start("write", url, upload, log) for log in logs]
            wait_until(lambda logs=logs: all(x.exists() and x.stat().st_size for x in logs), 60)
            time.sleep(chance.uniform(0, 0.2))
            server.stop_at_once()
            for child in children:
                forker.kill(child)
            acknowledged = {i for log in logs for i in log.read_text().split()}
            server.start()
            assert acknowledged <= set(open_store(url).job_ids())
            kept += len(acknowledged)
    record("P14", what="PostgreSQL stopped at once", tried=stops, held=stops, rows_kept=kept)


def _check_integrity(url: str, store: Store) -> None:
    if url.startswith("sqlite"):
        told = store.database.read(lambda c: c.exec_driver_sql("PRAGMA integrity_check").scalar())
        assert told == "ok"


@pytest.fixture
def forker() -> Iterator[Forker]:
    with Forker() as one:
        yield one


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new.db"
    server: Path = request.getfixturevalue("postgres_server")
    postgres.execute(server, "DROP DATABASE IF EXISTS fresh WITH (FORCE)")
    postgres.execute(server, "CREATE DATABASE fresh")
    return postgres.address(server, "fresh")


def test_killed_migration_starts_again(empty_url: str, record: Record) -> None:
    """Killed at one statement after the other; the next start finishes it."""
    kills = rounds(3, 20)
    killed = 0
    with Forker() as forker:
        for n in range(kills):
            at = 2 + n if kills > 3 else 3 + 8 * n
            code = forker.wait(forker.start("migrate", empty_url, at))
            assert code in (0, -signal.SIGKILL)
            killed += code == -signal.SIGKILL
            if code == 0:
                break  # it has fewer statements
    assert killed >= 3
    upgrade(empty_url)
    database = Database(empty_url)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    kind = database.engine.dialect.name
    database.close()
    record("P18", what=f"migrations killed, {kind}", tried=killed, held=killed)


def test_killed_sweep_removes_nothing_that_a_row_needs(
    database_url: str,
    open_store: Callable[..., Store],
    tmp_path: Path,
    record: Record,
    forker: Forker,
) -> None:
    store, artifacts = open_store(database_url), Artifacts(tmp_path)
    chance = random.Random(2)
    spec = ingest(store)
    kept: set[Path] = set()
    kills = rounds(5, 50)
    for n in range(kills):
        for i in range(8):
            job = claimed(store, store.submit(spec, "x"))
            for folder in (artifacts.dataset(job.output_id), artifacts.checkpoints(job.id, 1)):
                folder.mkdir(parents=True)
                (folder / "file").write_bytes(b"x")
            match (n + i) % 4:
                case 0:
                    store.succeed(job.id, job.epoch, {}, NewArtifact())
                    kept.add(artifacts.dataset(job.output_id) / "file")
                case 1:
                    store.fail(job.id, job.epoch, "no")
                    kept.add(artifacts.checkpoints(job.id, 1) / "file")
                case 2:
                    store.fail(job.id, job.epoch, "no")
                    store.retry(job.id)
                    kept.add(artifacts.checkpoints(job.id, 1) / "file")
                    kept.add(artifacts.dataset(job.output_id) / "file")
                case 3:
                    kept.add(artifacts.checkpoints(job.id, 1) / "file")
                    kept.add(artifacts.dataset(job.output_id) / "file")
        child = forker.start("sweep", database_url, tmp_path)
        time.sleep(chance.uniform(0, 0.08))
        forker.kill(child)
        assert [p for p in kept if not p.exists()] == []
    assert forker.wait(forker.start("sweep", database_url, tmp_path)) == 0
    assert [p for p in kept if not p.exists()] == []
    left = {p for f in (*FAMILIES, "runs", "trash") for p in tmp_path.glob(f"{f}/**/file")}
    assert left == kept
    record("P18", what="kill -9 of a sweep", tried=kills, held=kills, files_needed=len(kept))
