"""Submitting, reading, cancelling and retrying jobs over HTTP, on both databases."""

import json
import math
import threading
import time

import httpx
import pytest

from core.jobs.errors import StoreUnavailable
from core.jobs.spec import GlobalModelSpec, IngestSpec
from foglab.client import ServiceClient, ServiceError
from tests.api import makers
from tests.api.conftest import Service, both_databases

pytestmark = both_databases
JOBS = "/api/v1/jobs"


def problem(response: httpx.Response, status: int) -> dict[str, object]:
    """The problem details of a refusal, checked for form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert {"type", "title", "status", "detail"} <= set(body)
    assert body["status"] == status
    return body


def wrong_fields(body: dict[str, object]) -> list[str]:
    errors = body["errors"]
    assert isinstance(errors, list)
    return [error["field"] for error in errors]


def test_submitted_job_is_a_row_with_its_whole_spec(
    client: ServiceClient, service: Service
) -> None:
    upload = makers.upload(service.store)
    job = client.submit("ingest", {"upload": upload, "name": "logs"})
    assert (job.status, job.name, job.kind) == ("queued", "logs", "ingest")
    assert job.spec == IngestSpec(upload=upload, name="logs").model_dump(mode="json")
    assert job.output_id is not None
    assert job.output_id.startswith("ds_")
    assert client.job(job.id).model_dump() == job.model_dump()
    assert service.store.get(job.id).spec == job.spec


def test_preset_fills_what_the_spec_leaves_open(client: ServiceClient, service: Service) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    job = client.submit("global_model", {"dataset": dataset, "batch_size": 3}, preset="smoke")
    assert job.spec["batch_size"] == 3
    assert job.spec["steps"] < GlobalModelSpec(dataset=dataset).steps
    assert job.name == "global model"


def test_unknown_and_wrong_fields_are_named(http: httpx.Client) -> None:
    spec = {"dataset": "ds_0123456789abcdef", "steps": 0, "stepz": 5}
    body = problem(http.post(JOBS, json={"kind": "global_model", "spec": spec}), 422)
    assert sorted(wrong_fields(body)) == ["spec.steps", "spec.stepz"]
    assert "spec.stepz: Extra inputs are not permitted" in str(body["detail"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": "dance"}, "kind"),
        ({"kind": "ingest", "speck": {}}, "speck"),
        ({"kind": "ingest", "preset": "huge"}, "preset"),
        ({"kind": "ingest", "depends_on": ["x"]}, "depends_on.0"),
        ({"kind": "ingest", "name": ""}, "name"),
        ({"kind": "ingest", "spec": {"kind": "policy"}}, "spec.kind"),
    ],
)
def test_wrong_requests_name_the_field(
    http: httpx.Client, body: dict[str, object], field: str
) -> None:
    assert field in wrong_fields(problem(http.post(JOBS, json=body), 422))


def test_broken_json_is_refused(http: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    problem(http.post(JOBS, content=b'{"kind": ', headers=headers), 422)
    problem(http.post(JOBS, content=b"[" * 9000, headers=headers), 400)
    problem(http.post(JOBS, content=b'{"kind": "ingest"}', headers={"Content-Type": "x"}), 422)


def test_inputs_that_do_not_exist_are_named(http: httpx.Client, service: Service) -> None:
    spec = {"dataset": "ds_ffffffffffffffff"}
    body = problem(http.post(JOBS, json={"kind": "global_model", "spec": spec}), 422)
    assert wrong_fields(body) == ["dataset"]
    assert "ds_ffffffffffffffff" in str(body["detail"])
    dataset = makers.dataset(service.store, service.artifacts)
    spec = {"dataset": dataset, "global_model": dataset, "local_model": dataset}
    body = problem(http.post(JOBS, json={"kind": "policy", "spec": spec}), 422)
    assert "is a dataset, not a global model" in str(body["detail"])


def test_same_key_makes_one_job_of_many_requests(http: httpx.Client, service: Service) -> None:
    body = {"kind": "ingest", "spec": {"upload": makers.upload(service.store), "name": "once"}}
    replies: list[httpx.Response] = []

    def post() -> None:
        replies.append(http.post(JOBS, json=body, headers={"Idempotency-Key": "once"}))

    threads = [threading.Thread(target=post) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {r.status_code for r in replies} == {202}
    assert len({r.json()["id"] for r in replies}) == 1
    other = http.post(JOBS, json=body | {"name": "other"}, headers={"Idempotency-Key": "once"})
    assert "once" in str(problem(other, 409)["detail"])


def test_bad_idempotency_keys_are_refused(http: httpx.Client) -> None:
    for key in ("", "a b", "k" * 256):
        problem(http.post(JOBS, json={"kind": "ingest"}, headers={"Idempotency-Key": key}), 422)


def test_pipeline_is_queued_whole_and_once(client: ServiceClient, service: Service) -> None:
    upload = makers.upload(service.store)
    given = {"preset": "smoke", "upload_id": upload, "name": "line", "task": "push_disc"}
    line = client.pipeline(**given, key=f"line-{upload}")
    kinds = ["ingest", "global_model", "local_model", "policy", "evaluate", "rollout"]
    assert [j.kind for j in line.jobs] == kinds
    jobs = {j.kind: j for j in line.jobs}
    assert jobs["policy"].spec["global_model"] == line.output("global_model")
    assert set(jobs["policy"].waiting_for) == {
        jobs[k].id for k in ("ingest", "global_model", "local_model")
    }
    assert jobs["ingest"].waiting_for == []
    assert jobs["evaluate"].spec["task"] == "push_disc"
    again = client.pipeline(**given, key=f"line-{upload}")
    assert [j.id for j in again.jobs] == [j.id for j in line.jobs]
    assert {j.id for j in client.jobs(pipeline=line.id)} == {j.id for j in line.jobs}
    with pytest.raises(ServiceError, match="used before") as refused:
        client.pipeline(**{**given, "seed": 1}, key=f"line-{upload}")
    assert refused.value.status == 409


def test_pipeline_from_a_dataset_takes_its_name(client: ServiceClient, service: Service) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    line = client.pipeline(preset="smoke", dataset_id=dataset)
    assert line.jobs[0].name == "logs: global model"
    assert line.output("ingest") is None


def test_pipeline_learns_the_reward_that_was_chosen(
    client: ServiceClient, http: httpx.Client, service: Service
) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    line = client.pipeline(
        preset="smoke", dataset_id=dataset, reward="ranking", goals=["3:-1", "0:2"]
    )
    jobs = {j.kind: j for j in line.jobs}
    assert jobs["global_model"].spec["reward"] == "ranking"
    assert jobs["global_model"].spec["goals"] == [
        {"episode": 3, "frame": -1},
        {"episode": 0, "frame": 2},
    ]
    assert jobs["local_model"].spec["global_model"] == line.output("global_model")
    assert jobs["local_model"].waiting_for == [jobs["global_model"].id]
    for given, field in (
        ({"reward": "ranking"}, "goals"),
        ({"goals": ["3:-1"]}, "goals"),
        ({"reward": "ranking", "goals": ["end of 3"]}, "goals.0"),
    ):
        body = {"preset": "smoke", "dataset_id": dataset, **given}
        assert wrong_fields(problem(http.post("/api/v1/pipelines", json=body), 422)) == [field]


def test_pipeline_needs_one_source(http: httpx.Client) -> None:
    both = {"upload_id": f"up_{'0' * 32}", "dataset_id": "ds_0123456789abcdef"}
    for source in ({}, both):
        body = problem(http.post("/api/v1/pipelines", json={"preset": "smoke", **source}), 422)
        assert wrong_fields(body) == ["dataset_id"]
    nameless = {"preset": "smoke", "upload_id": f"up_{'0' * 32}"}
    assert wrong_fields(problem(http.post("/api/v1/pipelines", json=nameless), 422)) == ["name"]
    unknown = nameless | {"name": "x"}
    assert wrong_fields(problem(http.post("/api/v1/pipelines", json=unknown), 422)) == ["upload"]
    missing = {"preset": "smoke", "dataset_id": "ds_ffffffffffffffff"}
    problem(http.post("/api/v1/pipelines", json=missing), 404)


def test_cancel_and_retry_follow_the_state_machine(client: ServiceClient, service: Service) -> None:
    job = client.submit("ingest", {"upload": makers.upload(service.store), "name": "x"})
    assert client.cancel(job.id).status == "cancelled"
    assert client.cancel(job.id).status == "cancelled"
    assert client.retry(job.id).status == "queued"
    claimed = service.store.claim(job.id, "tests")
    assert claimed is not None
    asked = client.cancel(job.id)
    assert (asked.status, asked.cancel_requested) == ("running", True)
    with pytest.raises(ServiceError, match="only a failed or cancelled job") as refused:
        client.retry(job.id)
    assert refused.value.status == 409


def test_failed_job_tells_why_and_its_dependents_too(
    client: ServiceClient, service: Service
) -> None:
    line = client.pipeline(preset="smoke", upload_id=makers.upload(service.store), name="bad")
    claimed = service.store.claim(line.jobs[0].id, "tests")
    assert claimed is not None
    service.store.fail(claimed.id, claimed.epoch, "episode 3: action has NaN; clean the log")
    jobs = [client.job(j.id) for j in line.jobs]
    assert {j.status for j in jobs} == {"failed"}
    assert jobs[0].error == "episode 3: action has NaN; clean the log"
    assert jobs[0].id in (jobs[1].error or "")
    assert client.datasets() == [] or line.output("ingest") not in {d.id for d in client.datasets()}


def test_listing_filters_and_pages(http: httpx.Client, service: Service) -> None:
    upload = makers.upload(service.store)
    made = [
        service.store.submit(IngestSpec(upload=upload, name=f"page {n}"), f"page {n}").id
        for n in range(5)
    ]
    seen: list[str] = []
    cursor: dict[str, int] = {}
    while len(seen) < 5:
        page = http.get(JOBS, params={"limit": 2, "kind": "ingest", **cursor}).json()
        seen += [j["id"] for j in page["items"]]
        cursor = {"cursor": page["next"]}
    assert seen[:5] == made[::-1]
    assert http.get(JOBS, params={"status": "succeeded", "kind": "rollout"}).json()["items"] == []
    for wrong in ({"limit": 0}, {"limit": 501}, {"status": "lost"}, {"cursor": "x"}):
        assert wrong_fields(problem(http.get(JOBS, params=wrong), 422)) == list(wrong)


@pytest.mark.parametrize(
    "job_id", ["job_ffffffffffffffff", "nonsense", "%00", "..%2F..%2Fetc", "😀"]
)
def test_unknown_jobs_are_not_found(http: httpx.Client, job_id: str) -> None:
    for path in ("", "/metrics", "/events", "/log"):
        problem(http.get(f"{JOBS}/{job_id}{path}"), 404)
    for action in ("cancel", "retry"):
        problem(http.post(f"{JOBS}/{job_id}/{action}"), 404)


def test_metrics_come_from_where_the_reader_stopped(
    client: ServiceClient, service: Service
) -> None:
    job, folder = makers.running(service.store, service.artifacts)
    assert client.metrics(job.id).items == []
    lines = [
        {"step": n, "time": 1.0 * n, "values": {"loss": 1 / (n + 1) if n != 2 else math.nan}}
        for n in range(5)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 5, "ti'
    (folder / "metrics.jsonl").write_text(text)
    found = client.metrics(job.id)
    assert [m.step for m in found.items] == [0, 1, 2, 3, 4]
    assert found.items[2].values["loss"] is None
    assert found.next == 5
    assert [m.line for m in client.metrics(job.id, after=3).items] == [4, 5]
    assert client.metrics(job.id, after=3, limit=1).next == 4
    assert client.metrics(job.id, after=9).next == 9


def test_log_is_the_end_of_what_was_written(client: ServiceClient, service: Service) -> None:
    job, folder = makers.running(service.store, service.artifacts)
    assert client.log(job.id) == ""
    (folder / "log.txt").write_bytes(b"\xff" + b"".join(b"line %d\n" % n for n in range(60_000)))
    assert client.log(job.id, tail=2) == "line 59998\nline 59999"


def test_running_job_shows_its_progress(client: ServiceClient, service: Service) -> None:
    job, folder = makers.running(service.store, service.artifacts)
    assert client.job(job.id).progress is None
    progress = {"done": 3, "total": 9, "message": "epoch 1", "time": 5.0, "eta_seconds": 7.5}
    (folder / "progress.json").write_text(json.dumps(progress))
    shown = client.job(job.id)
    assert shown.progress is not None
    assert shown.progress.model_dump() == progress
    assert shown.seconds is not None
    assert shown.seconds >= 0


def test_large_bodies_are_refused_with_and_without_a_length(http: httpx.Client) -> None:
    big = b'{"kind": "' + b"x" * 30_000 + b'"}'
    headers = {"Content-Type": "application/json"}
    problem(http.post(JOBS, content=big, headers=headers), 413)
    problem(http.post(JOBS, content=iter([big[:15_000], big[15_000:]]), headers=headers), 413)


def test_missing_pages_and_methods_are_problems(http: httpx.Client) -> None:
    problem(http.get("/api/v1/nothing"), 404)
    refused = http.put(JOBS)
    problem(refused, 405)
    assert "POST" in refused.headers["allow"]


def test_busy_database_is_503_and_says_when_to_come_back(
    http: httpx.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise StoreUnavailable("database is locked")

    monkeypatch.setattr(service.store, "list_jobs", busy)
    monkeypatch.setattr(service.store, "check_writable", busy)
    refused = http.get(JOBS)
    assert "locked" not in str(problem(refused, 503))
    assert refused.headers["retry-after"] == "2"
    monkeypatch.setattr("api.readiness.KEEP_SECONDS", 0)
    time.sleep(2)  # an earlier look may still be kept
    problem(http.get("/readyz"), 503)


def test_mistake_of_the_service_names_only_its_log_entry(
    http: httpx.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service.store, "list_jobs", broken)
    refused = http.get(JOBS)
    body = problem(refused, 500)
    assert "secret" not in refused.text
    assert refused.headers["x-request-id"] in str(body["detail"])


def test_specs_are_schemas_that_forms_can_be_made_of(client: ServiceClient) -> None:
    specs = client.specs()
    assert set(specs["kinds"]) >= {"ingest", "policy"}
    steps = specs["kinds"]["global_model"]["properties"]["steps"]
    assert {"type", "default", "minimum", "description"} <= set(steps)
    assert specs["presets"]["smoke"]["global_model"]["steps"] < steps["default"]


def test_wait_returns_ended_jobs_and_gives_up_in_time(
    client: ServiceClient, service: Service
) -> None:
    job = client.submit("ingest", {"upload": makers.upload(service.store), "name": "w"})
    with pytest.raises(TimeoutError, match=job.id):
        client.wait(job.id, timeout=0.05, every=0.01)
    client.cancel(job.id)
    assert [j.status for j in client.wait([job.id], timeout=1)] == ["cancelled"]
