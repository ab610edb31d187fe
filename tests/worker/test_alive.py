"""The file that a health check looks at."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.jobs.environment import Environment
from core.jobs.errors import StoreUnavailable
from worker.service import WorkerService
from worker.settings import WorkerSettings

from .conftest import wait_until


@pytest.fixture
def alive(quick: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "alive"
    monkeypatch.setenv("FOGLAB_ALIVE_FILE", str(path))
    return path


@contextmanager
def running(service: WorkerService) -> Iterator[None]:
    service.start()
    try:
        yield
    finally:
        service.stop()


def test_worker_without_its_broker_is_well(alive: Path) -> None:
    calls = threading.Semaphore(0)

    def no_broker(_ready: object) -> None:
        calls.release()
        raise ConnectionError("no broker")

    with running(WorkerService(WorkerSettings(), ("ingest",), no_broker)):
        assert calls.acquire(timeout=30)
        first = alive.stat().st_mtime_ns
        wait_until(lambda: alive.stat().st_mtime_ns > first)


def test_worker_without_its_database_is_not(alive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = WorkerService(WorkerSettings(), ("ingest",), lambda _: None)
    asked = threading.Semaphore(0)

    def no_database(*_: object, **__: object) -> None:
        asked.release()
        raise StoreUnavailable("no database")

    monkeypatch.setattr(service.store, "ready_jobs", no_database)
    with running(service):
        for _ in range(6):
            assert asked.acquire(timeout=30)
    assert not alive.exists()
