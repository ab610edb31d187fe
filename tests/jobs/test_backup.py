"""A backup holds all that counts, and a restored installation is the same."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.artifacts import Artifacts
from core.jobs import tables
from core.jobs.backup import BackupError, backup, restore
from core.jobs.environment import Environment
from core.jobs.records import NewArtifact
from core.jobs.store import Store
from tests import postgres
from tests.jobs.makers import claimed, dataset, ingest, training


class Lab:
    """An installation with an upload, a dataset, a model, and a job with a checkpoint."""

    def __init__(self, home: Path, url: str, store: Store) -> None:
        self.environment = Environment(home, url, "")
        self.store, self.artifacts = store, Artifacts(home)
        data = os.urandom(100_000)
        self.upload = store.register_upload(
            "up_" + "1" * 32, "logs.zip", len(data), hashlib.sha256(data).hexdigest()
        ).id
        write(self.artifacts.upload(self.upload) / "data", data)
        self.dataset = dataset(store).id
        publish(self.artifacts.dataset(self.dataset), frames=os.urandom(50_000))
        done = claimed(store, store.submit(training(store), "model"))
        publish(self.artifacts.model(done.output_id), model=os.urandom(10_000))
        for listed in store.artifact_ids():
            if listed not in (self.dataset, done.output_id):
                publish(self.artifacts.dataset(listed), frames=b"")
        store.succeed(done.id, done.epoch, {"loss": 0.5}, NewArtifact())
        self.job = claimed(store, store.submit(training(store), "going on"))
        for listed in store.artifact_ids():
            if not any(self.artifacts.root.glob(f"*/{listed}")):
                publish(self.artifacts.dataset(listed), frames=b"")
        # the makers list uploads that have no bytes
        fake = tables.uploads.c.sha256 == "0" * 64
        store.database.write(lambda c: c.execute(tables.uploads.delete().where(fake)))
        self.model = done.output_id
        step = self.artifacts.checkpoints(self.job.id, 1) / "denoiser" / "00000020"
        write(step / "tensors.safetensors", b"weights")
        write(step.parent / ".00000030.77" / "tensors.safetensors", b"half")
        write(self.artifacts.run(self.job.id) / "log.txt", b"so far\n")


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def publish(folder: Path, **files: bytes) -> None:
    sums = {}
    for name, data in files.items():
        write(folder / name, data)
        sums[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    write(folder / "manifest.json", json.dumps({"files": sums}).encode())


def hashes(home: Path) -> dict[str, str]:
    """Of every file that counts."""
    found = (p for p in home.rglob("*") if p.is_file() and not p.name.startswith("foglab.db"))
    inner = ((p, p.relative_to(home).as_posix()) for p in found)
    return {n: hashlib.sha256(p.read_bytes()).hexdigest() for p, n in inner if "/." not in n}


@pytest.fixture
def lab(tmp_path: Path, database_url: str, store: Store) -> Lab:
    return Lab(tmp_path / "home", database_url, store)


@pytest.fixture
def elsewhere(tmp_path: Path, lab: Lab, request: pytest.FixtureRequest) -> Environment:
    """An empty installation with a database of the same kind."""
    home = tmp_path / "elsewhere"
    if lab.environment.database_url.startswith("sqlite"):
        return replace(lab.environment, home=home, database_url=f"sqlite:///{home}/foglab.db")
    server: Path = request.getfixturevalue("postgres_server")
    postgres.execute(server, "DROP DATABASE IF EXISTS elsewhere")
    postgres.execute(server, "CREATE DATABASE elsewhere")
    url = postgres.address(server, "elsewhere")
    return replace(lab.environment, home=home, database_url=url)


def test_restored_installation_has_the_same_files_and_rows(
    lab: Lab, elsewhere: Environment, tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    done = backup(lab.environment, tmp_path / "lab.backup")
    assert done.damaged == []
    assert (tmp_path / "lab.backup").stat().st_mode & 0o777 == 0o600
    restore(elsewhere, tmp_path / "lab.backup")
    assert hashes(elsewhere.home) == hashes(lab.environment.home)
    other = open_store(elsewhere.database_url)
    assert other.list_jobs() == lab.store.list_jobs()
    assert other.list_artifacts() == lab.store.list_artifacts()
    assert other.get_upload(lab.upload) == lab.store.get_upload(lab.upload)
    assert other.submit(ingest(other), "goes on").state == "queued"


def test_backup_of_a_busy_service_names_no_row_without_its_files(
    lab: Lab, elsewhere: Environment, tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            job = claimed(lab.store, lab.store.submit(ingest(lab.store), "more"))
            publish(lab.artifacts.dataset(job.output_id), frames=os.urandom(2000))
            lab.store.succeed(job.id, job.epoch, {}, NewArtifact())

    worker = threading.Thread(target=work)
    worker.start()
    try:
        backup(lab.environment, tmp_path / "lab.backup")
    finally:
        stop.set()
        worker.join()
    restore(elsewhere, tmp_path / "lab.backup")
    listed = open_store(elsewhere.database_url).artifact_ids()
    assert listed
    assert all(any(elsewhere.home.glob(f"*/{i}/**/manifest.json")) for i in listed)


def test_damaged_artifact_is_named(lab: Lab, tmp_path: Path) -> None:
    write(lab.artifacts.model(lab.model) / "model", b"other")
    (lab.artifacts.dataset(lab.dataset) / "frames").unlink()
    write(lab.artifacts.upload(lab.upload) / "data", b"other")
    done = backup(lab.environment, tmp_path / "lab.backup")
    assert sorted(done.damaged) == [
        f"datasets/{lab.dataset}/v1/frames",
        f"models/{lab.model}/model",
        f"uploads/{lab.upload}/data",
    ]


def test_damaged_backup_restores_nothing(lab: Lab, elsewhere: Environment, tmp_path: Path) -> None:
    source = tmp_path / "lab.backup"
    backup(lab.environment, source)
    whole = bytearray(source.read_bytes())
    for n in range(8):
        damaged = bytearray(whole)
        damaged[(2 * n + 1) * len(whole) // 16] ^= 0x40
        source.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"."):
            restore(elsewhere, source)
        assert not elsewhere.home.exists()
    source.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BackupError, match="not a whole backup"):
        restore(elsewhere, source)
    assert [p.name for p in tmp_path.iterdir() if "restoring" in p.name] == []


@pytest.mark.parametrize("name", ["files/../../x", "/etc/x", "files/runs/job_00000000/../x", "x"])
def test_backup_that_names_other_places_is_refused(
    lab: Lab, elsewhere: Environment, tmp_path: Path, name: str
) -> None:
    source = tmp_path / "bad.backup"
    entry = {"sha256": hashlib.sha256(b"").hexdigest(), "bytes": 0}
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("backup.json", json.dumps({"format": 1, "database": "database.sqlite3"}))
        archive.writestr(name, b"")
        archive.writestr("manifest.json", json.dumps({"files": {name: entry}}))
    with pytest.raises(BackupError, match="is not a file of an installation"):
        restore(elsewhere, source)


def test_nothing_that_exists_is_overwritten(
    lab: Lab, elsewhere: Environment, tmp_path: Path
) -> None:
    backup(lab.environment, tmp_path / "lab.backup")
    with pytest.raises(BackupError, match="exists already"):
        backup(lab.environment, tmp_path / "lab.backup")
    with pytest.raises(BackupError, match="is not empty"):
        restore(lab.environment, tmp_path / "lab.backup")
    taken = replace(elsewhere, database_url=lab.environment.database_url)
    with pytest.raises(ValueError, match="already"):
        restore(taken, tmp_path / "lab.backup")
    assert not elsewhere.home.exists()


def test_command_line_backs_up_clears_up_and_restores(tmp_path: Path, sqlite_url: str) -> None:
    from core.jobs.migrate import upgrade

    home = tmp_path / "one"
    home.mkdir()
    upgrade(f"sqlite:///{home}/foglab.db")
    (home / "models" / ("lm_" + "9" * 16)).mkdir(parents=True)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("FOGLAB_")}

    def foglab(*words: str) -> str:
        command = [sys.executable, "-m", "foglab.cli", *words]
        ended = subprocess.run(command, env=environ, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    assert "1 files" in foglab("--home", str(home), "backup", str(tmp_path / "b"))
    assert "lm_9999999999999999" in foglab("--home", str(home), "gc", "--unknown")
    assert "all as they were" in foglab(
        "--home", str(tmp_path / "two"), "restore", str(tmp_path / "b")
    )
    assert (tmp_path / "two" / "foglab.db").exists()
