"""What the service says about itself: metrics, readiness, logs."""

import json
import logging
import re
import shutil
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.readiness import Readiness
from core.jobs.errors import StoreUnavailable
from core.jobs.records import Gpu
from core.jobs.spec import GlobalModelSpec
from core.jobs.store import Store
from core.logs import JsonFormatter
from tests.api import makers
from tests.api.conftest import Service, both_databases
from tests.jobs.makers import Clock, claimed, dataset, ingest
from tests.worker.conftest import wait_until

pytestmark = both_databases


def samples(http: httpx.Client) -> dict[tuple[str, tuple[str, ...]], float]:
    """Value by name and labels in the order of their names, as Prometheus itself would read the page."""
    page = http.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    return {
        (s.name, tuple(s.labels[k] for k in sorted(s.labels))): s.value
        for family in text_string_to_metric_families(page.text)
        for s in family.samples
    }


def test_metrics_tell_jobs_workers_gpus_data_waits_and_requests(
    service: Service, http: httpx.Client
) -> None:
    store = service.store
    service.app.state.services.sizes._seconds = 0  # else the look of a minute ago is kept
    before = samples(http)
    store.submit(ingest(store), "logs")
    training = claimed(store, store.submit(GlobalModelSpec(dataset=dataset(store).id), "world"))
    run = service.artifacts.run(training.id)
    run.mkdir(parents=True)
    lines = [{"step": n, "time": 0, "values": {"loss": 1.0}} for n in range(3)]
    lines[1]["values"] = {"data/wait_share": 0.25}
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    gpu = Gpu(index=0, name="H100", memory_used=1 << 30, memory_total=80 << 30, use=0.5)
    store.worker_seen("worker", ["gpu"], [gpu])
    http.get("/api/v1/jobs/job_0123456789abcdef")
    now = samples(http)
    key = ("foglab_jobs", ("ingest", "queued"))
    assert now[key] == before[key] + 1
    assert now["foglab_jobs", ("global_model", "running")] == 1
    ready = ("foglab_ready_jobs", ("ingest",))
    assert now[ready] == before[ready] + 1
    assert now["foglab_oldest_ready_job_seconds", ("ingest",)] >= 0
    assert now["foglab_oldest_running_job_seconds", ()] >= 0
    assert now["foglab_heartbeat_age_seconds", ()] >= 0
    assert now["foglab_data_wait_share", (training.id, "global_model")] == 0.25
    assert now["foglab_workers", ("gpu",)] == 1
    assert now["foglab_busy_workers", ("gpu",)] == 1
    assert now["foglab_gpu_memory_used_bytes", ("0", "H100", "worker")] == 1 << 30
    assert now["foglab_gpu_use", ("0", "H100", "worker")] == 0.5
    assert now["foglab_disk_free_bytes", ()] > 0
    assert now["foglab_stored_bytes", ("runs",)] > 0
    assert now["foglab_database_up", ()] == 1
    missed = ("foglab_request_seconds_count", ("GET", "/api/v1/jobs/{job_id}", "4xx"))
    assert now[missed] == before.get(missed, 0) + 1
    assert now["process_resident_memory_bytes", ()] > 1 << 20


def test_series_do_not_grow_with_ids_or_unknown_paths(http: httpx.Client) -> None:
    for n in range(30):
        http.get(f"/api/v1/jobs/job_{n:016x}")
        http.get(f"/nowhere/{n}")
    text = http.get("/metrics").text
    assert "job_000" not in text
    assert "nowhere" not in text


def test_metrics_say_so_when_the_database_is_away(
    service: Service, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Store) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(Store, "overview", away)
    now = samples(http)
    assert now["foglab_database_up", ()] == 0
    assert not any(name == "foglab_jobs" for name, _ in now)


@pytest.fixture
def readiness(service: Service, tmp_path: Path) -> Readiness:
    """Looks anew each time, at a storage of its own."""
    (tmp_path / "home").mkdir()
    steps = iter(range(0, 10_000, 10))
    return Readiness(tmp_path / "home", lambda: float(next(steps)))


def test_readiness_names_what_is_missing(
    service: Service, readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = service.store
    monkeypatch.setattr("api.readiness.LOW_DISK_BYTES", 0)
    for worker in store.list_workers():
        store.worker_left(worker.id)
    assert readiness.look(store).checks["workers"] == "none for gpu and ingest: such jobs wait"
    store.worker_seen("one", ["gpu", "ingest"])
    found = readiness.look(store)
    assert found.refused is None
    assert {k: v for k, v in found.checks.items() if k != "queues"} == {
        "database": "ok",
        "storage": "ok",
        "disk": "ok",
        "workers": "ok",
    }
    monkeypatch.setattr("api.readiness.LOW_DISK_BYTES", 1 << 60)
    assert "GB free" in readiness.look(store).checks["disk"]


def test_job_that_waits_beside_an_idle_worker_is_told(
    service: Service, readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = service.store
    store.submit(ingest(store), "logs")
    store.worker_seen("one", ["gpu", "ingest"])
    monkeypatch.setattr("api.readiness.STUCK_SECONDS", -1)
    assert "ingest" in readiness.look(store).checks["queues"]


def test_storage_that_cannot_be_written_is_not_ready(
    service: Service, readiness: Readiness, tmp_path: Path
) -> None:
    assert readiness.look(service.store).refused is None
    shutil.rmtree(tmp_path / "home")
    assert readiness.look(service.store).refused == "The storage cannot be written to"


def test_database_that_cannot_be_written_is_not_ready(
    service: Service, readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Store) -> None:
        raise StoreUnavailable("attempt to write a readonly database at /secret/path")

    monkeypatch.setattr(Store, "check_writable", refuse)
    refused = readiness.look(service.store).refused
    assert refused == "The database cannot be reached or written to"


def test_readiness_is_looked_at_once_in_two_seconds(service: Service, tmp_path: Path) -> None:
    clock = Clock(0.0)
    readiness = Readiness(tmp_path, clock)
    first = readiness.look(service.store)
    assert readiness.look(service.store) is first
    clock.now = 2
    assert readiness.look(service.store) is not first


def test_request_is_logged_with_its_id_token_and_project(
    service: Service, http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "foglab.api"):
        response = http.get("/api/v1/jobs/%0d%0a%1b[31mforged")
        wait_until(lambda: "request" in caplog.messages)  # it is logged after the answer
    (record,) = [r for r in caplog.records if r.message == "request"]
    told = json.loads(JsonFormatter().format(record))
    assert told["request_id"] == response.headers["x-request-id"]
    assert told["status"] == 404
    assert told["project"] == "default"
    assert told["token"].startswith("tok_")
    assert service.token not in json.dumps(told)


def test_wrong_tokens_are_logged_without_their_secret(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "foglab.api"):
        httpx.get(f"{service.url}/api/v1/jobs", headers={"Authorization": "Bearer fog_guess"})
    (record,) = [r for r in caplog.records if r.message == "wrong credentials"]
    assert "fog_guess" not in JsonFormatter().format(record)


def test_no_answer_tells_of_the_insides(
    service: Service, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in the middle of a request: its id and nothing else, and a log entry of it."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"SELECT secret FROM {service.artifacts.root}/tokens")

    monkeypatch.setattr(Store, "list_jobs", broken)
    response = http.get("/api/v1/jobs")
    assert response.status_code == 500
    body = response.json()
    assert body["detail"] == f"Its log names it as {response.headers['x-request-id']}"
    assert not re.search(r"Traceback|SELECT|RuntimeError|\.py|/tmp|sqlalchemy", response.text)


def test_token_is_stored_nowhere_in_the_clear(service: Service, http: httpx.Client) -> None:
    """Used, refused, listed; then looked for in every file of the installation and of the API."""
    made = http.post("/api/v1/tokens", json={"name": "canary", "scopes": ["admin"]}).json()
    secret = made["secret"]
    headers = {"Authorization": f"Bearer {secret}"}
    makers.dataset(service.store, service.artifacts)
    for path in ("jobs", "tokens", "workers", "storage", "nowhere", "jobs/job_0123456789abcdef"):
        assert secret not in httpx.get(f"{service.url}/api/v1/{path}", headers=headers).text
    httpx.post(f"{service.url}/api/v1/jobs", headers=headers, json={"kind": "ingest"})
    httpx.get(f"{service.url}/api/v1/jobs?token={secret[:10]}", headers=headers)
    assert secret not in http.get("/metrics").text
    root = service.artifacts.root
    stored = [p for p in root.parent.rglob("*") if p.is_file()]
    assert stored
    assert not [p for p in stored if secret.encode() in p.read_bytes()]
    rows = service.store.database.read(
        lambda c: [str(tuple(r)) for r in c.exec_driver_sql("SELECT * FROM tokens")]
    )
    assert not [r for r in rows if secret in r]


def test_queued_jobs_are_logged_with_the_request_that_made_them(
    service: Service, http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[dict[str, object]] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(json.loads(JsonFormatter().format(record)))

    lines = Lines()
    logging.getLogger("foglab.jobs").addHandler(lines)
    spec = {"upload": makers.upload(service.store), "name": "x"}
    try:
        with caplog.at_level(logging.INFO, "foglab.jobs"):
            response = http.post("/api/v1/jobs", json={"kind": "ingest", "spec": spec})
    finally:
        logging.getLogger("foglab.jobs").removeHandler(lines)
    assert [(t["request_id"], t["jobs"]) for t in told] == [
        (response.headers["x-request-id"], [response.json()["id"]])
    ]
