"""Event streams are live, complete, and end with the job."""

import json
import threading
import time
from pathlib import Path

import httpx
import pytest

from api.events import MetricsTail
from api.main import create_app
from api.settings import Settings
from core.jobs.records import NewArtifact
from core.jobs.replies import Event
from foglab.client import ServiceClient, ServiceError
from tests.api import makers
from tests.api.conftest import Service, serve


def metric(step: int, **values: float) -> str:
    return json.dumps({"step": step, "time": time.time(), "values": values}) + "\n"


def collect(
    client: ServiceClient, job_id: str, after: int = 0
) -> tuple[threading.Thread, list[Event]]:
    """Follow a job in a thread."""
    seen: list[Event] = []

    def follow() -> None:
        for event in client.events(job_id, after):
            seen.append(event)

    thread = threading.Thread(target=follow)
    thread.start()
    return thread, seen


def test_events_arrive_while_the_job_runs_and_end_with_it(
    client: ServiceClient, service: Service
) -> None:
    job, folder = makers.running(service.store, service.artifacts)
    thread, seen = collect(client, job.id)
    for step in range(1, 4):
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(metric(step, loss=1 / step))
        progress = {"done": step, "total": 3, "message": "", "time": time.time()}
        beside = folder / "progress.part"
        beside.write_text(json.dumps(progress))
        beside.replace(folder / "progress.json")
        # Nothing more is written before this has arrived: the stream waits for nothing.
        deadline = time.monotonic() + 30
        while {"metric": step, "progress": step}.items() - latest(seen).items():
            assert time.monotonic() < deadline, "nothing arrived"
            time.sleep(0.01)
    service.store.succeed(job.id, job.epoch, {"loss": 0.3}, NewArtifact())
    thread.join(30)
    assert not thread.is_alive()
    assert [e.data["line"] for e in seen if e.event == "metric"] == [1, 2, 3]
    assert [e.data["done"] for e in seen if e.event == "progress"] == [1, 2, 3]
    states = [e.data for e in seen if e.event == "state"]
    assert [s["status"] for s in states] == ["running", "succeeded"]
    assert seen[-1].event == "state"
    assert states[-1]["result"] == {"loss": 0.3}


def latest(seen: list[Event]) -> dict[str, int]:
    """Step of the last metric and of the last progress."""
    found = {"metric": 0, "progress": 0}
    for event in list(seen):
        if event.event != "state":
            found[event.event] = event.data["line" if event.event == "metric" else "done"]
    return found


def test_ended_job_gives_all_its_metrics_and_then_its_state(
    client: ServiceClient, service: Service
) -> None:
    job, folder = makers.running(service.store, service.artifacts)
    (folder / "metrics.jsonl").write_text("".join(metric(n) for n in range(1234)))
    service.store.fail(job.id, job.epoch, "it broke")
    events = list(client.events(job.id))
    assert [e.data["line"] for e in events[:-1]] == list(range(1, 1235))
    assert events[-1].data["error"] == "it broke"


def test_reader_gets_only_what_came_after(client: ServiceClient, service: Service) -> None:
    job, folder = makers.running(service.store, service.artifacts)
    (folder / "metrics.jsonl").write_text("".join(metric(n) for n in range(10)))
    service.store.cancelled(job.id, job.epoch)
    lines = [e.data["line"] for e in client.events(job.id, after=7) if e.event == "metric"]
    assert lines == [8, 9, 10]


def test_waiting_job_tells_when_it_may_start(client: ServiceClient, service: Service) -> None:
    line = client.pipeline(preset="smoke", upload_id=makers.upload(service.store), name="wait")
    thread, seen = collect(client, line.jobs[1].id)
    while not seen:
        time.sleep(0.01)
    assert seen[0].data["waiting_for"] == [line.jobs[0].id]
    client.cancel(line.jobs[0].id)
    thread.join(30)
    assert seen[-1].data["status"] == "cancelled"


def test_unknown_job_is_refused_before_the_stream(client: ServiceClient) -> None:
    with pytest.raises(ServiceError) as refused:
        next(client.events("job_ffffffffffffffff"))
    assert refused.value.status == 404


def test_stream_has_ids_to_go_on_from(http: httpx.Client, service: Service) -> None:
    job, folder = makers.running(service.store, service.artifacts)
    (folder / "metrics.jsonl").write_text(metric(1) + metric(2))
    service.store.cancelled(job.id, job.epoch)
    response = http.get(f"/api/v1/jobs/{job.id}/events", headers={"Last-Event-ID": "1"})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "id: 2\n" in response.text
    assert "id: 1\n" not in response.text


def test_client_follows_through_a_restart_of_the_service(
    service: Service, settings: Settings
) -> None:
    job, folder = makers.running(service.store, service.artifacts)
    (folder / "metrics.jsonl").write_text(metric(1))
    first = serve(create_app(settings))
    url = first.__enter__()
    with ServiceClient(url, service.token, patience=20) as client:
        thread, seen = collect(client, job.id)
        while not seen:
            time.sleep(0.01)
        first.__exit__()
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(metric(2))
        with serve(create_app(settings), int(url.rsplit(":", 1)[1])):
            service.store.cancelled(job.id, job.epoch)
            thread.join(30)
    assert not thread.is_alive()
    assert [e.data["line"] for e in seen if e.event == "metric"] == [1, 2]
    assert seen[-1].data["status"] == "cancelled"


def test_rewound_metrics_are_told_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = MetricsTail(path)
    assert tail.read() == []
    path.write_text(metric(1) + metric(2) + metric(3))
    assert [m.step for m in tail.read()] == [1, 2, 3]
    beside = tmp_path / "new"
    beside.write_text(metric(1) + metric(2))
    beside.replace(path)
    assert [(m.line, m.step) for m in tail.read()] == [(1, 1), (2, 2)]
    path.write_text(metric(1))
    assert [m.line for m in tail.read()] == [1]


def test_half_written_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    text = metric(1)
    path.write_text(text + text[:9])
    tail = MetricsTail(path)
    assert len(tail.read()) == 1
    assert tail.read() == []
    with path.open("a") as file:
        file.write(text[9:])
    assert [m.line for m in tail.read()] == [2]
