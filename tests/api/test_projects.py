"""Projects do not see each other; admin tokens run their own."""

from collections.abc import Iterator

import httpx
import pytest

from api.main import SIGNED_PATHS
from tests.api import makers
from tests.api.conftest import Service, both_databases
from tests.api.walk import Things, make_things, operations

pytestmark = both_databases


@pytest.fixture(scope="module")
def things(service: Service) -> Things:
    """One of everything, in the default project."""
    return make_things(service)


@pytest.fixture(scope="module")
def stranger(service: Service) -> Iterator[httpx.Client]:
    """An admin of another project."""
    service.store.add_project("other")
    secret = service.store.of("other").create_token("stranger")
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=service.url, headers=headers, timeout=60) as client:
        yield client


def told_apart(things: Things) -> list[str]:
    """Words that only an answer about these things can hold."""
    return [*(v for v in things.values() if "_" in v), "ours-and-secret"]


def test_owner_finds_what_the_stranger_will_not(
    service: Service, things: Things, http: httpx.Client
) -> None:
    """So that the next test's 404s are about whose it is and not about what does not exist."""
    found = 0
    for operation in operations(service.app):
        if operation.method == "GET" and "{" in operation.path:
            response = http.get(operation.url(things))
            assert response.status_code == 200, operation
            found += 1
    assert found >= 15


def test_objects_of_another_project_are_not_found_by_any_route(
    service: Service, things: Things, stranger: httpx.Client, http: httpx.Client
) -> None:
    secrets = told_apart(things)
    for operation in operations(service.app):
        if "{" not in operation.path:
            continue
        response = stranger.request(operation.method, operation.url(things), **operation.body())
        if response.status_code == 422:  # the body was refused first, whoever asks
            again = http.request(operation.method, operation.url(things), **operation.body())
            assert again.status_code == 422, operation
            continue
        assert response.status_code == 404, (operation, response.text)
        asked = operation.url(things)
        told = [s for s in secrets if s in response.text and s not in asked]
        assert not told, operation


def test_listings_hold_nothing_of_another_project(
    service: Service, things: Things, stranger: httpx.Client
) -> None:
    for operation in operations(service.app):
        if operation.method != "GET" or "{" in operation.path:
            continue
        response = stranger.get(operation.path)
        assert not [v for v in told_apart(things) if v in response.text], operation
        if "items" in (page := response.json() if response.status_code == 200 else {}):
            ours = "stranger" if operation.path.endswith("/tokens") else ""
            assert all(ours and i["name"] == ours for i in page["items"]), operation


def test_jobs_cannot_be_made_of_another_projects_things(
    things: Things, stranger: httpx.Client
) -> None:
    asked: list[tuple[str, dict[str, object]]] = [
        ("datasets", {"upload_id": things["upload_id"], "name": "x"}),
        ("jobs", {"kind": "local_model", "spec": {"dataset": things["dataset_id"]}}),
        ("jobs", {"kind": "detect", "spec": {"upload": things["upload_id"]}}),
        ("pipelines", {"dataset_id": things["dataset_id"], "preset": "smoke"}),
    ]
    for route, body in asked:
        response = stranger.post(f"/api/v1/{route}", json=body)
        assert response.status_code in {404, 422}, response.text
    depends = {"kind": "detect", "spec": {"upload": "up_" + "0" * 32}}
    depends["depends_on"] = [things["job_id"]]  # type: ignore[assignment]
    assert stranger.post("/api/v1/jobs", json=depends).status_code == 404


def test_installation_is_shown_to_the_default_project_only(
    stranger: httpx.Client, http: httpx.Client
) -> None:
    assert http.get("/metrics").status_code == 200
    assert stranger.get("/metrics").status_code == 403


def test_signed_address_dies_with_its_token(
    service: Service, things: Things, http: httpx.Client
) -> None:
    token, secret = service.store.issue_token("viewer", scopes=["read"])
    mine = {"Authorization": f"Bearer {secret}"}
    addresses = [
        http.get(f"/api/v1/models/{things['model_id']}", headers=mine).json()["download_url"],
        http.get(f"/api/v1/exports/{things['export_id']}", headers=mine).json()["download_url"],
        http.get(f"/api/v1/rollouts/{things['rollout_id']}", headers=mine).json()["items"][0][
            "video_url"
        ],
        http.get(f"/api/v1/datasets/{things['dataset_id']}/episodes", headers=mine).json()["items"][
            0
        ]["video_url"],
    ]
    assert len(addresses) == len(SIGNED_PATHS)
    assert [httpx.get(f"{service.url}{a}").status_code for a in addresses] == [200] * 4
    service.store.revoke_token(token.id)
    assert [httpx.get(f"{service.url}{a}").status_code for a in addresses] == [403] * 4


def test_admin_makes_and_revokes_tokens_of_its_project(
    service: Service, stranger: httpx.Client, http: httpx.Client
) -> None:
    made = stranger.post("/api/v1/tokens", json={"name": "robot", "scopes": ["read"], "days": 1})
    assert made.status_code == 201
    secret, token = made.json()["secret"], made.json()["token"]
    assert (token["project"], token["scopes"]) == ("other", ["read"])
    listed = stranger.get("/api/v1/tokens")
    assert secret not in listed.text
    assert "robot" in listed.text
    assert "robot" not in http.get("/api/v1/tokens").text
    robot = {"Authorization": f"Bearer {secret}"}
    assert httpx.get(f"{service.url}/api/v1/jobs", headers=robot).status_code == 200
    assert httpx.get(f"{service.url}/api/v1/tokens", headers=robot).status_code == 403
    assert http.delete(f"/api/v1/tokens/{token['id']}").status_code == 404
    assert stranger.delete(f"/api/v1/tokens/{token['id']}").json()["revoked_at"] is not None
    assert httpx.get(f"{service.url}/api/v1/jobs", headers=robot).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "days": 0},
    ],
)
def test_wrong_tokens_are_refused(http: httpx.Client, body: dict[str, object]) -> None:
    assert http.post("/api/v1/tokens", json=body).status_code == 422


def test_write_token_does_not_administer(service: Service, things: Things) -> None:
    secret = service.store.create_token("writer", scopes=["write"])
    headers = {"Authorization": f"Bearer {secret}"}
    for path in ("tokens", "workers", "storage"):
        refused = httpx.get(f"{service.url}/api/v1/{path}", headers=headers)
        assert refused.status_code == 403
        assert "'admin'" in refused.json()["detail"]


def test_workers_are_shown_with_their_jobs(service: Service, http: httpx.Client) -> None:
    job, _ = makers.running(service.store, service.artifacts)
    service.store.worker_seen("tests", ["ingest"])
    (worker,) = http.get("/api/v1/workers").json()["items"]
    assert (worker["alive"], worker["busy"]) == (True, True)
    assert worker["job_id"] == job.id or service.store.get(worker["job_id"]).owner == "tests"


def test_storage_tells_bytes_of_the_project(
    service: Service, things: Things, http: httpx.Client, stranger: httpx.Client
) -> None:
    ours, theirs = (c.get("/api/v1/storage").json() for c in (http, stranger))
    assert ours["kinds"]["models"] >= 9000 * 256
    assert ours["total_bytes"] == sum(ours["kinds"].values())
    assert 0 < ours["free_bytes"] <= ours["disk_bytes"]
    assert theirs["total_bytes"] == theirs["uploaded_bytes"] == 0


def test_upload_beyond_the_quota_is_refused_before_its_bytes(service: Service) -> None:
    service.store.add_project("small", upload_quota=1000)
    secret = service.store.of("small").create_token("small")
    headers = {"Authorization": f"Bearer {secret}", "Upload-Length": "600"}
    with httpx.Client(base_url=service.url, headers=headers) as client:
        first = client.post("/api/v1/uploads")
        assert first.status_code == 201
        refused = client.post("/api/v1/uploads")
        assert refused.status_code == 413
        assert "quota" in refused.json()["title"]
        assert client.delete(first.headers["location"]).status_code == 204
        assert client.post("/api/v1/uploads").status_code == 201
