"""What `foglab doctor` finds when a part of an installation is missing, old or wrong."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.jobs.environment import Environment
from core.jobs.migrate import revisions, upgrade
from core.jobs.store import Store
from foglab.client import ServiceClient
from foglab.doctor import findings
from foglab.finding import Finding
from foglab.running import running
from tests.api.conftest import Service

FIRST_REVISION = "0001"


def found_in(environment: Environment, url: str = "http://127.0.0.1:9") -> dict[str, Finding]:
    """By what was looked at."""
    told = running(environment, lambda: ServiceClient(url, "fog_x", patience=0))
    return {f.what: f for f in told}


def wrong_in(found: dict[str, Finding]) -> set[str]:
    return {what for what, finding in found.items() if not finding.well}


@pytest.fixture
def installation(tmp_path: Path, database_url: str) -> Environment:
    """A home and a database, and none of the programs."""
    return Environment.read({"FOGLAB_HOME": str(tmp_path), "FOGLAB_DATABASE_URL": database_url})


def test_programs_that_do_not_run_are_named_with_the_way_to_start_them(
    installation: Environment, open_store: Callable[..., Store]
) -> None:
    found = found_in(installation)
    missing = {"Workers", "Simulator", "Service"}
    if installation.database_url.startswith("sqlite"):
        missing.add("Broker")
    assert wrong_in(found) == missing
    assert "such jobs wait" in found["Workers"].told
    assert "worker.simulator" in found["Simulator"].told
    assert "does not answer" in found["Service"].told
    open_store(installation.database_url).worker_seen("me", ["gpu"])
    assert "none for ingest" in found_in(installation)["Workers"].told


def test_broker_that_is_away_is_named(tmp_path: Path, sqlite_url: str) -> None:
    given = {"FOGLAB_DATABASE_URL": sqlite_url, "FOGLAB_BROKER_URL": "redis://127.0.0.1:9/0"}
    found = found_in(Environment.read({"FOGLAB_HOME": str(tmp_path), **given}))
    assert not found["Broker"].well
    assert "FOGLAB_BROKER_URL" in found["Broker"].told


def test_database_of_an_older_version_is_not_taken_for_a_good_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    upgrade(url, FIRST_REVISION)
    old, newest = revisions(url)
    assert old == FIRST_REVISION
    environment = Environment.read({"FOGLAB_HOME": str(tmp_path), "FOGLAB_DATABASE_URL": url})
    told = found_in(environment)["Database"]
    assert not told.well
    assert f"schema {old}, this program needs {newest}" in told.told
    assert "core.jobs.migrate" in told.told


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/foglab.db", "postgresql://foglab@127.0.0.1:9/foglab"]
)
def test_database_that_is_not_there_is_named(tmp_path: Path, url: str) -> None:
    environment = Environment.read({"FOGLAB_HOME": str(tmp_path), "FOGLAB_DATABASE_URL": url})
    told = found_in(environment)["Database"]
    assert not told.well
    assert "FOGLAB_DATABASE_URL" in told.told


def test_empty_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "new.db").touch()
    url = f"sqlite:///{tmp_path}/new.db"
    environment = Environment.read({"FOGLAB_HOME": str(tmp_path), "FOGLAB_DATABASE_URL": url})
    assert "has no tables" in found_in(environment)["Database"].told


def test_clock_is_compared_with_that_of_the_database(
    postgres_url: str, open_store: Callable[..., Store]
) -> None:
    right = open_store(postgres_url)
    assert abs(right.seconds_ahead()) < 5
    wrong = open_store(postgres_url, clock=lambda: time.time() + 3600)
    assert abs(wrong.seconds_ahead() - 3600) < 5


def test_home_that_does_not_exist_is_named(tmp_path: Path, sqlite_url: str) -> None:
    given = {"FOGLAB_HOME": str(tmp_path / "none"), "FOGLAB_DATABASE_URL": sqlite_url}
    nobody = ServiceClient("http://127.0.0.1:9", "fog_x", patience=0)
    found = {f.what: f for f in findings(Environment.read(given), lambda: nobody)}
    assert not found["Storage"].well
    assert "`foglab up` makes it" in found["Storage"].told
    assert found["Python"].well
    assert found["Processors"].well


def test_service_that_cannot_do_jobs_is_not_called_well(
    service: Service, installation: Environment
) -> None:
    """The API answers, but no worker is there."""
    told = running(installation, lambda: ServiceClient(service.url, service.token, patience=0))
    (one,) = [f for f in told if f.what == "Service"]
    assert not one.well
    assert "workers: none for" in one.told
