"""Nobody comes in without a token, on any route, by any method."""

import re
import time
from collections.abc import Iterator

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from api.main import OPEN_PATHS, SIGNED_PATHS
from tests.api.conftest import Service

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def paths(service: Service) -> list[str]:
    """Every path of the application, read from its routes."""
    return sorted({c.path for c in iter_route_contexts(service.app.routes)})


def credentials(service: Service) -> Iterator[tuple[str, dict[str, str]]]:
    store = service.store
    revoked = store.create_token("revoked")
    store.revoke_token(next(t.id for t in store.list_tokens() if t.name == "revoked"))
    values = {
        "garbage": "Bearer fog_garbage",
        "expired": f"Bearer {store.create_token('expired', expires_at=time.time() - 1)}",
        "revoked": f"Bearer {revoked}",
        "no value": "Bearer",
        "other scheme": f"Basic {service.token}",
    }
    yield "none", {}
    for name, value in values.items():
        yield name, {"Authorization": value}


def test_walk_finds_all_routes(service: Service) -> None:
    found = paths(service)
    assert len(found) > 25
    assert OPEN_PATHS | SIGNED_PATHS | {"/metrics", "/api/v1/uploads/{upload_id}"} <= set(found)


def test_every_route_denies_every_method_without_token(service: Service) -> None:
    with httpx.Client(base_url=service.url) as bare:
        for path in set(paths(service)) - OPEN_PATHS:
            concrete = re.sub(r"\{\w+\}", "ds_0123456789abcdef", path)
            for method in METHODS:
                status = bare.request(method, concrete).status_code
                assert status in {401, 405}, (method, path, status)


def test_each_protected_route_answers_401_to_its_own_methods(service: Service) -> None:
    with httpx.Client(base_url=service.url) as bare:
        for name, headers in credentials(service):
            for context in iter_route_contexts(service.app.routes):
                if context.path in OPEN_PATHS:
                    continue
                concrete = re.sub(r"\{\w+\}", "ds_0123456789abcdef", context.path)
                for method in context.methods or ():
                    response = bare.request(method, concrete, headers=headers)
                    assert response.status_code == 401, (name, method, context.path)
                    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "path",
    ["//api/v1/jobs", "/api/v1//jobs", "/api/v1/jobs/", "/api/v1/jobs;x=1", "/api%2fv1%2fjobs"],
)
def test_other_spellings_of_a_path_give_nothing(service: Service, path: str) -> None:
    headers = {"X-HTTP-Method-Override": "GET", "X-Original-URL": "/healthz", "Host": "healthz"}
    response = httpx.get(f"{service.url}{path}", headers=headers)
    assert response.status_code in {401, 404}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/docs"])
def test_open_paths_need_no_token(service: Service, path: str) -> None:
    assert httpx.get(f"{service.url}{path}").status_code == 200


def test_read_token_may_look_but_not_touch(service: Service) -> None:
    token = service.store.create_token("reader", scopes=["read"])
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{service.url}/api/v1/jobs", headers=headers).status_code == 200
    refused = httpx.post(f"{service.url}/api/v1/jobs", headers=headers, json={})
    assert refused.status_code == 403
    assert refused.json()["title"] == "The token does not allow this"


def test_answers_carry_safe_headers_and_a_request_id(http: httpx.Client) -> None:
    ids = set()
    for path in ("/healthz", "/api/v1/jobs", "/nowhere"):
        headers = http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        ids.add(headers["x-request-id"])
    assert len(ids) == 3


def test_only_the_dashboards_origin_may_read_from_a_browser(http: httpx.Client) -> None:
    ours = http.get("/api/v1/jobs", headers={"Origin": "http://dashboard.test"})
    assert ours.headers["access-control-allow-origin"] == "http://dashboard.test"
    other = http.get("/api/v1/jobs", headers={"Origin": "http://evil.test"})
    assert "access-control-allow-origin" not in other.headers


def test_contract_documents_refusals_and_tokens_on_every_route(http: httpx.Client) -> None:
    contract = http.get("/openapi.json").json()
    operations = [
        (path, method, operation)
        for path, methods in contract["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(operations) > 30
    for path, method, operation in operations:
        assert "application/problem+json" in operation["responses"]["default"]["content"]
        assert "422" not in operation["responses"]
        assert ("security" in operation) == (path not in OPEN_PATHS), (path, method)
