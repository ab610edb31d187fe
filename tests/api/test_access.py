"""Nobody comes in without a token, on any route, by any method."""

import re
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import APIRouter, Depends, WebSocket
from fastapi.routing import iter_route_contexts
from starlette.routing import WebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from api.deps import ServicesDep, caller
from api.main import OPEN_PATHS, SIGNED_PATHS, create_app
from api.routes import play
from api.settings import Settings
from core.jobs.records import ArtifactType
from tests.api.conftest import Service, serve
from tests.api.walk import PLACEHOLDERS, Operation, everything, make_things

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def bad_credentials(service: Service) -> Iterator[tuple[str, dict[str, str]]]:
    store = service.store
    token, revoked = store.issue_token("revoked")
    store.revoke_token(token.id)
    values = {
        "garbage": "Bearer fog_garbage",
        "expired": f"Bearer {store.create_token('expired', expires_at=time.time() - 1)}",
        "revoked": f"Bearer {revoked}",
        "no value": "Bearer",
        "other scheme": f"Basic {service.token}",
        "two in one": f"Bearer {service.token} {service.token}",
        "id instead of secret": f"Bearer {token.id}",
    }
    yield "none", {}
    for name, value in values.items():
        yield name, {"Authorization": value}


def protected(service: Service) -> list[Operation]:
    return [o for o in everything(service.app) if o.path not in OPEN_PATHS]


def test_walk_finds_all_routes(service: Service) -> None:
    found = {o.path for o in everything(service.app)}
    assert len(found) > 35
    assert OPEN_PATHS | SIGNED_PATHS | {"/metrics", "/api/v1/uploads/{upload_id}"} <= found


def test_no_bad_credential_opens_any_route_by_any_method(service: Service) -> None:
    asked = 0
    with httpx.Client(base_url=service.url, timeout=60) as bare:
        for name, headers in bad_credentials(service):
            for path in {o.path for o in protected(service)}:
                own = {o.method for o in protected(service) if o.path == path}
                url = Operation("", path).url(PLACEHOLDERS)
                for method in METHODS:
                    response = bare.request(method, url, headers=headers)
                    wanted = {401} if method in own else {401, 405}
                    assert response.status_code in wanted, (name, method, path, response.text)
                    if response.status_code == 401:
                        assert response.headers["www-authenticate"].startswith("Bearer")
                    asked += 1
    assert asked > 1500


def test_read_token_changes_nothing_by_any_route(service: Service) -> None:
    things = make_things(service)
    token = service.store.create_token("reader", scopes=["read"])
    before = _everything_stored(service)
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {token}"}) as reader:
        for path in {o.path for o in protected(service)}:
            url = Operation("", path).url(things)
            for method in set(METHODS) - {"GET", "HEAD"}:
                body = Operation(method, path).body()
                status = reader.request(method, url, **body).status_code
                assert status in {403, 405}, (method, path, status)
    assert _everything_stored(service) == before


def test_open_paths_answer_to_reading_only(service: Service) -> None:
    for path in OPEN_PATHS:
        for method in set(METHODS) - {"GET", "HEAD"}:
            response = httpx.request(method, f"{service.url}{path}")
            assert response.status_code == 405, (method, path)


def test_other_spellings_of_any_path_give_nothing(service: Service) -> None:
    def variants(path: str) -> list[str]:
        head, _, tail = path.rpartition("/")
        return [
            f"/{path}",
            f"{head}//{tail}",
            f"{path}/",
            f"{path};x=1",
            f"{path}%2f",
            f"{head}%2f{tail}",
            f"{head}/./{tail}",
            f"/healthz/..{path}",
            f"/healthz%2f..{path}",
            f"{path}%00",
            f"{path}?token={service.token}&access_token={service.token}",
            f"{path}#/healthz",
            path.upper(),
            f"http://healthz{path}",
            f"{path}/healthz",
        ]

    asked = 0
    for operation in protected(service):
        if operation.method in {"GET", "POST"}:
            for target in variants(operation.url(PLACEHOLDERS)):
                status = raw(service, operation.method, target)
                assert status in {400, 401, 404, 405}, (operation, target, status)
                asked += 1
    assert asked > 500


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "healthz"},
        {"Host": "x/healthz?"},
        {"Host": "x/healthz#"},
        {"Host": "127.0.0.1/healthz/.."},
        {"X-HTTP-Method-Override": "GET", "X-Method-Override": "OPTIONS"},
        {"X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz"},
        {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Prefix": "/healthz"},
        {"X-Forwarded-Host": "healthz", "X-Forwarded-Proto": "https", "Forwarded": "for=::1"},
        {"X-Forwarded-User": "admin", "X-Remote-User": "admin", "Remote-User": "admin"},
    ],
    ids=lambda h: " ".join(h),
)
def test_poisoned_headers_open_nothing(service: Service, headers: dict[str, str]) -> None:
    for operation in protected(service):
        target = operation.url(PLACEHOLDERS)
        status = raw(service, operation.method, target, headers)
        assert status in {400, 401}, (operation, status)


def test_every_websocket_refuses_bad_credentials(service: Service) -> None:
    for context in iter_route_contexts(service.app.routes):
        if isinstance(context.original_route, WebSocketRoute):
            path = Operation("", str(context.path)).url(PLACEHOLDERS)
            for _, headers in bad_credentials(service):
                assert handshake(service.url, path, headers) in {401, 403}, path


@pytest.fixture(scope="module")
def socket_url(settings: Settings, service: Service) -> Iterator[str]:
    """The application with a WebSocket that takes the services like any other route."""
    app = create_app(settings)
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(caller)])

    @router.websocket("/echo")
    async def echo(connection: WebSocket, s: ServicesDep) -> None:
        await connection.accept()
        found = len(s.store.list_artifacts(type=ArtifactType.MODEL))
        await connection.send_text(f"{s.store.project} {found}")

    app.include_router(router)
    with serve(app) as url:
        yield url


def test_websocket_takes_a_valid_token_and_sees_its_project(
    service: Service, socket_url: str
) -> None:
    service.store.add_project("socket")
    token = service.store.of("socket").create_token("t")
    address = f"ws{socket_url.removeprefix('http')}/api/v1/echo"
    with connect(address, additional_headers={"Authorization": f"Bearer {token}"}) as open_:
        assert open_.recv() == "socket 0"
    with connect(
        address,
        additional_headers={"Authorization": f"Bearer {token}"},
        origin="http://dashboard.test",
    ) as open_:
        assert open_.recv() == "socket 0"


def test_websocket_handshake_is_refused_like_a_request(service: Service, socket_url: str) -> None:
    for name, headers in bad_credentials(service):
        assert handshake(socket_url, "/api/v1/echo", headers) == 401, name
    reader = service.store.create_token("reader", scopes=["read"])
    headers = {"Authorization": f"Bearer {reader}"}
    assert handshake(socket_url, "/api/v1/echo", headers) == 403
    valid = {"Authorization": f"Bearer {service.token}"}
    for origin in ("http://evil.test", "null", "http://dashboard.test.evil.test"):
        assert handshake(socket_url, "/api/v1/echo", {**valid, "Origin": origin}) == 403


def handshake(url: str, path: str, headers: dict[str, str]) -> int:
    """Status of a refused handshake; 101 if it was not refused."""
    try:
        with connect(f"ws{url.removeprefix('http')}{path}", additional_headers=headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def raw(service: Service, method: str, target: str, headers: dict[str, str] | None = None) -> int:
    """Status of a request whose target and headers no client library has tidied up."""
    address = urlsplit(service.url)
    lines = {"Host": address.netloc, "Connection": "close", "Content-Length": "0"}
    head = "".join(f"{k}: {v}\r\n" for k, v in {**lines, **(headers or {})}.items())
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 60) as line:
        line.sendall(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode())
        answer = line.makefile("rb").readline()
    return int(answer.split()[1])


def _everything_stored(service: Service) -> tuple[object, ...]:
    root = service.artifacts.root
    files = sorted(str(p) for p in root.rglob("*") if "cache" not in p.parts)
    jobs = service.store.list_jobs(limit=500)
    return files, jobs, service.store.list_tokens(), service.store.list_artifacts(limit=500)


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_open_paths_need_no_token(service: Service, path: str) -> None:
    assert httpx.get(f"{service.url}{path}").status_code == 200


def test_read_token_may_look_but_not_touch(service: Service) -> None:
    token = service.store.create_token("reader", scopes=["read"])
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{service.url}/api/v1/jobs", headers=headers).status_code == 200
    refused = httpx.post(f"{service.url}/api/v1/jobs", headers=headers, json={})
    assert refused.status_code == 403
    assert refused.json()["title"] == "The token does not allow this"


def test_docs_page_loads_nothing_from_elsewhere_and_runs_no_script_of_its_own(
    service: Service,
) -> None:
    page = httpx.get(f"{service.url}/docs")
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert loaded == ["/docs/swagger-ui.css", "/docs/swagger-ui.js", "/docs/start.js"]
    assert not re.search(r"<script>|\son\w+=|https?://", page.text)
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    kinds = [httpx.get(f"{service.url}{path}").headers["content-type"] for path in loaded]
    assert kinds == ["text/css; charset=utf-8", *["text/javascript; charset=utf-8"] * 2]
    assert "SwaggerUIBundle" in httpx.get(f"{service.url}/docs/swagger-ui.js").text


def test_every_answer_of_every_route_carries_safe_headers(
    service: Service, http: httpx.Client
) -> None:
    things = make_things(service)
    for operation in everything(service.app):
        if operation.method in {"DELETE", "POST"}:
            continue
        for client in (http, httpx):
            url = f"{service.url}{operation.url(things)}"
            response = client.request(operation.method, url, **operation.body())
            headers = response.headers
            assert headers["x-content-type-options"] == "nosniff", operation
            assert headers["referrer-policy"] == "no-referrer"
            framed = "'self' http://dashboard.test" if operation.path in play.FILES else "'none'"
            assert f"frame-ancestors {framed}" in headers["content-security-policy"]
            assert re.fullmatch("[0-9a-f]{16}", headers["x-request-id"])
            assert "server" not in headers
            if operation.path.endswith("/download") and response.status_code == 200:
                assert headers["content-disposition"].startswith("attachment;")


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
