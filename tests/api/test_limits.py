"""What no caller may exceed, and what it costs to try."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from api.limits import FailedLogins, Rates
from api.main import create_app
from api.server import HEAD_BYTES, PatientProtocol
from api.settings import Settings
from tests.api import makers
from tests.api.conftest import Service, serve
from tests.jobs.makers import Clock

JOBS = "/api/v1/jobs"


@pytest.fixture(scope="module")
def strict(settings: Settings) -> Iterator[Service]:
    """The same installation with the limits of a real one, or tighter."""
    tight = {"failed_logins_per_minute": 10, "requests_per_second": 5.0, "body_seconds": 0.5}
    app = create_app(settings.model_copy(update=tight))
    with serve(app) as url:
        yield Service(app, url, app.state.services.store.create_token("strict"))


def test_eleventh_wrong_token_in_a_minute_is_429_and_a_right_one_is_taken(strict: Service) -> None:
    with httpx.Client(base_url=strict.url) as client:
        wrong = [client.get(JOBS, headers={"Authorization": f"Bearer fog_{n}"}) for n in range(12)]
        right = client.get(JOBS, headers={"Authorization": f"Bearer {strict.token}"})
        none = client.get(JOBS)
    assert [r.status_code for r in wrong] == [401] * 10 + [429] * 2
    assert 0 < int(wrong[-1].headers["retry-after"]) <= 60
    assert (right.status_code, none.status_code) == (200, 401)


def test_failures_are_counted_by_address_and_forgotten_after_a_minute() -> None:
    clock = Clock(0.0)
    failures = FailedLogins(2, clock)
    assert [failures.count(a) for a in ("a", "a", "b")] == [0, 0, 0]
    clock.now = 10
    assert failures.count("a") == 50
    assert failures.count("b") == 0
    clock.now = 60
    assert failures.count("a") == 0
    assert failures.total == 6


def test_token_that_asks_too_often_is_told_when_to_come_back(strict: Service) -> None:
    token = strict.store.create_token("eager")
    other = strict.store.create_token("calm")
    with httpx.Client(base_url=strict.url) as client:
        headers = {"Authorization": f"Bearer {token}"}
        answers = [client.get(JOBS, headers=headers) for _ in range(60)]
        calm = client.get(JOBS, headers={"Authorization": f"Bearer {other}"})
    refused = [r for r in answers if r.status_code == 429]
    assert {r.status_code for r in answers} == {200, 429}
    assert len(refused) >= 10
    assert refused[0].headers["retry-after"] == "1"
    assert calm.status_code == 200


def test_rate_is_kept_on_average_and_doubled_at_once() -> None:
    clock = Clock(0.0)
    rates = Rates(5, clock)
    assert sum(rates.take("a") == 0 for _ in range(20)) == 10
    clock.now = 1
    assert sum(rates.take("a") == 0 for _ in range(20)) == 5
    assert rates.take("a") == pytest.approx(0.2)


def test_quota_holds_under_fifty_parallel_uploads(service: Service) -> None:
    service.store.add_project("crowd", upload_quota=10_000)
    token = service.store.of("crowd").create_token("crowd")
    headers = {"Authorization": f"Bearer {token}", "Upload-Length": "300"}
    sent = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}

    def upload(_: int) -> int:
        with httpx.Client(base_url=service.url, headers=headers, timeout=120) as client:
            made = client.post("/api/v1/uploads")
            if made.status_code == 201:
                put = client.patch(made.headers["location"], content=b"x" * 300, headers=sent)
                assert put.status_code == 204
            return made.status_code

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(upload, range(50)))
    assert sorted(answers) == [201] * 33 + [413] * 17
    assert service.store.of("crowd").uploaded_bytes() == 9_900


@pytest.mark.parametrize("chunked", [False, True])
def test_no_more_than_the_limit_is_read_of_a_large_body(service: Service, chunked: bool) -> None:
    """The server hangs up long before 64 MiB have been sent."""
    address = urlsplit(service.url)
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {64 << 20}"
    head = f"POST {JOBS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token}\r\n{length}"
    piece = b"x" * 65_536
    piece = b"10000\r\n" + piece + b"\r\n" if chunked else piece
    sent = 0
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 60) as line:
        line.sendall(f"{head}\r\n\r\n".encode())
        try:
            while sent < 64 << 20:
                sent += line.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
    # What the kernel's own buffers took on both sides is not what the service read.
    assert sent < 24 << 20


def test_body_that_rests_is_given_up(strict: Service) -> None:
    answer = _slow_body(strict, "POST", JOBS, "Content-Type: application/json")
    assert b" 408 " in answer.splitlines()[0]


def test_upload_that_rests_keeps_what_has_come(strict: Service) -> None:
    headers = {"Authorization": f"Bearer {strict.token}"}
    made = httpx.post(f"{strict.url}/api/v1/uploads", headers=headers | {"Upload-Length": "100"})
    path = made.headers["location"]
    kind = "Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0"
    assert b" 204 " in _slow_body(strict, "PATCH", path, kind).splitlines()[0]
    time.sleep(0.5)
    told = httpx.head(f"{strict.url}{path}", headers=headers)
    assert told.headers["upload-offset"] == "5"


def test_two_hundred_slow_clients_keep_nobody_out(service: Service) -> None:
    address = urlsplit(service.url)
    lines = [
        socket.create_connection((str(address.hostname), int(address.port or 0)), 60)
        for _ in range(200)
    ]
    try:
        for n, line in enumerate(lines):
            line.sendall(
                b"GET / HTTP/1.1\r\nX-Slow: " if n % 2 else b"POST /api/v1/jobs HTTP/1.1\r\n"
            )
        assert [httpx.get(f"{service.url}/healthz").status_code for _ in range(20)] == [200] * 20
    finally:
        for line in lines:
            line.close()


def test_head_that_is_not_finished_in_time_is_hung_up_on(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PatientProtocol, "head_seconds", 0.3)
    address = urlsplit(service.url)
    where = (str(address.hostname), int(address.port or 0))
    for begun in (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: a"):
        with socket.create_connection(where, 60) as line:
            line.sendall(begun)
            assert line.recv(100) == b""
    with socket.create_connection(where, 60) as line:  # and one that is finished is answered
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        time.sleep(0.1)
        line.sendall(b"\r\n")
        assert b"200" in line.recv(100)


def test_endless_head_is_hung_up_on(service: Service) -> None:
    address = urlsplit(service.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 60) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\n")
        sent = 0
        try:
            while sent < 200 * HEAD_BYTES:
                sent += line.send(b"X-More: " + b"x" * 8000 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert sent < 200 * HEAD_BYTES
    assert httpx.get(f"{service.url}/healthz").status_code == 200


BOMBS = [
    {"Range": "bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(160))},
    {"Range": "bytes=" + "0-," * 300 + "0-"},
    {"Range": "bytes=" + "9" * 900 + "-"},
    {"Range": "bytes=" + "-" * 900},
    {"Range": "bytes=0-0" + " " * 800 + ",1-1"},
    {"Range": "bytes=" + ",".join("0-" for _ in range(20_000))},
]


@pytest.mark.parametrize("headers", BOMBS, ids=range(len(BOMBS)))
def test_range_bombs_cost_little(
    service: Service, http: httpx.Client, headers: dict[str, str]
) -> None:
    dataset = makers.dataset(service.store, service.artifacts, episodes=2)
    path = f"/api/v1/datasets/{dataset}/episodes/0/video"
    whole = len(http.get(path).content)
    before = psutil.Process().cpu_times()
    response = http.get(path, headers=headers)
    after = psutil.Process().cpu_times()
    assert response.status_code in {200, 206, 400, 416, 422}
    assert len(response.content) <= whole + 160 * 200
    # CPU time, not duration; client and server together. The bar is 0.1 s; slow machines get more.
    assert after.user - before.user < 1.0


@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\n" + b"Content-Disposition: form-data; name=a\r\n\r\n\r\n--x\r\n" * 300,
        b"--x\r\n" + b"A: b\r\n" * 3000,
        b"--x\r\nContent-Disposition: form-data" + b'; name*0*="a' * 1500,
    ],
    ids=["parts", "headers", "parameters"],
)
def test_multipart_is_never_parsed(http: httpx.Client, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    before = psutil.Process().cpu_times()
    for path in (JOBS, "/api/v1/datasets", "/api/v1/pipelines", "/api/v1/tokens"):
        assert http.post(path, content=body[:19_000], headers=headers).status_code == 422
    after = psutil.Process().cpu_times()
    assert after.user - before.user < 1.0


def test_deeply_nested_and_long_numbers_in_json_are_refused(http: httpx.Client) -> None:
    kind = {"Content-Type": "application/json"}
    for text in (
        "[" * 9000,
        '{"a":' * 3000,
        json.dumps({"kind": "detect", "spec": {"upload": "up_" + "0" * 32}})[:-1]
        + ',"name":'
        + "9" * 5000
        + "}",
        '{"kind": "detect", "spec": {"x": 1' + "0" * 10_000 + "}}",
    ):
        refused = http.post(JOBS, content=text, headers=kind)
        assert refused.status_code in {400, 422}, text[:40]
        assert len(refused.content) < 2000


def _slow_body(strict: Service, method: str, path: str, extra: str) -> bytes:
    address = urlsplit(strict.url)
    token = strict.store.create_token("slow")
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{extra}\r\n"
        "Content-Length: 100\r\n\r\nhello"
    )
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 60) as line:
        line.sendall(head.encode())
        return line.recv(4096)
