"""No text of a client becomes a path or an address, wherever it is put."""

import itertools
import re
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from core.jobs.spec import SPECS, Kind
from tests.api.conftest import Service
from tests.api.walk import PLACEHOLDERS, Operation, operations

CANARY = "canary-7f3a"


def traversals(canary: Path) -> list[str]:
    """Two hundred ways to say `../canary.txt`, or its absolute path, and other names to trip on."""
    ups = ["../" * n for n in (1, 2, 3, 8)]
    slashes = ["/", "\\", "%2f", "%5c", "%252f", "..;/", "//", "\u2215", "\uff0f", "%c0%af"]
    dots = ["..", "%2e%2e", ".%2e", "%252e%252e", "....", "\uff0e\uff0e", "..\x00", "..%00"]
    told = [f"{d}{s}{canary.name}" for d, s in itertools.product(dots, slashes)]
    told += [
        f"ds_0123456789abcdef{s}{d}{s}{canary.name}" for d, s in itertools.product(dots, slashes)
    ]
    told += [f"{up}{canary.name}" for up in ups] + [f"{up}etc/passwd" for up in ups]
    absolute = [
        str(canary),
        f"file://{canary}",
        f"//{canary}",
        f"\\\\?\\{canary}",
        f"~/{canary.name}",
    ]
    names = ["", ".", "..", "CON", "nul", "a\nb", "a\rb", "\x1b[31m", "%", "%zz", "$HOME", "`id`"]
    names += ["$(id)", ";id", "|id", "-rf", "--help", "*", "?", "ds_*", "ds_0123456789abcde?"]
    names += ["ds_0123456789abcdef.json", "ds_0123456789abcdef/", "DS_0123456789ABCDEF", "x" * 5000]
    return told + absolute + names


@pytest.fixture(scope="module")
def canary(service: Service) -> Path:
    """A file beside the service's folder that no answer may hold."""
    path = service.artifacts.root.parent / "canary.txt"
    path.write_text(CANARY)
    return path


def test_no_path_parameter_leaves_the_root(
    service: Service, http: httpx.Client, canary: Path
) -> None:
    """Each payload at several fields, each field with several payloads; all pairs are `slow`."""
    fields = list(path_fields(service))
    payloads = itertools.cycle(traversals(canary))
    asked = 0
    for _ in range(200 // len(fields) + 1):
        for operation, name in fields:
            knock(http, operation, name, next(payloads))
            asked += 1
    assert asked >= 200
    assert canary.read_text() == CANARY


@pytest.mark.slow
def test_no_path_parameter_leaves_the_root_with_any_payload(
    service: Service, http: httpx.Client, canary: Path
) -> None:
    for operation, name in path_fields(service):
        for payload in traversals(canary):
            knock(http, operation, name, payload)


def path_fields(service: Service) -> Iterator[tuple[Operation, str]]:
    """Every parameter of every path, by each method."""
    for operation in operations(service.app):
        for name in re.findall(r"\{(\w+)", operation.path):
            yield operation, name


def knock(http: httpx.Client, operation: Operation, name: str, payload: str) -> None:
    for text in (payload, quote(payload, safe="")):
        path = operation.url(
            {
                **dict.fromkeys(re.findall(r"\{(\w+)", operation.path), ""),
                **_others(operation, name),
                name: text,
            }
        )
        try:
            response = http.request(operation.method, path, **operation.body())
        except httpx.InvalidURL:
            continue  # a client cannot even send this one
        assert response.status_code in {307, 400, 404, 405, 422}, (operation, text)
        assert CANARY not in response.text
        assert "root:x:" not in response.text


def _others(operation: Operation, name: str) -> dict[str, str]:
    names = re.findall(r"\{(\w+)", operation.path)
    return {n: PLACEHOLDERS[n] for n in names if n != name}


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_no_body_field_leaves_the_root(
    service: Service, http: httpx.Client, canary: Path, stride: int
) -> None:
    before = _outside(service)
    payloads = itertools.cycle(traversals(canary))
    for kind, field in id_fields():
        for _ in range(15 // stride):
            spec: dict[str, Any] = {field: next(payloads)}
            refused = http.post("/api/v1/jobs", json={"kind": kind, "spec": spec})
            assert refused.status_code == 422, (kind, field, spec)
            assert CANARY not in refused.text
    for payload in traversals(canary)[::stride]:
        told = f"filename {b64encode(payload.encode()).decode()}"[:4000].strip()
        headers = {"Upload-Length": "4", "Upload-Metadata": told}
        made = http.post("/api/v1/uploads", headers=headers)
        assert made.status_code in {201, 400}
        if made.status_code == 201:
            listed = http.get(made.headers["location"]).json()
            assert "/" not in listed["filename"]
            assert "\\" not in listed["filename"]
            assert re.fullmatch(r"/api/v1/uploads/up_[0-9a-f]{32}", made.headers["location"])
    assert _outside(service) == before


def id_fields() -> Iterator[tuple[Kind, str]]:
    """Fields of specs that name something stored."""
    for kind, spec in SPECS.items():
        for name, field in spec.model_fields.items():
            if "pattern" in str(field) and name not in {"name"}:
                yield kind, name


def test_specs_have_fields_to_try() -> None:
    assert len(list(id_fields())) >= 15


def _outside(service: Service) -> list[str]:
    root = service.artifacts.root
    inside = sorted(p.name for p in (root / "uploads").rglob("*") if p.name.startswith("."))
    return inside + sorted(
        str(p) for p in root.parent.iterdir() if p != root and not p.name.startswith("database")
    )


SCHEMES = ("http://{}", "https://{}", "ftp://{}", "file://{}", "gopher://{}", "s3://{}", "//{}")


def addresses(port: int) -> list[str]:
    """Ways to name a listener on this machine, and what a cloud machine must not fetch."""
    hosts = [
        *(
            "127.0.0.1",
            "localhost",
            "0.0.0.0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "127.1",
            "2130706433",
        ),
        *("0x7f000001", "0177.0.0.1", "127.0.0.1.nip.io", "user@127.0.0.1", "127.0.0.1#@x.test"),
    ]
    told = [s.format(f"{h}:{port}/x") for h, s in itertools.product(hosts, SCHEMES)]
    return [
        *told,
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "jar:file:///x!/",
    ]


def test_no_field_makes_the_service_connect_anywhere(service: Service, http: httpx.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        caught: list[object] = []

        def listen() -> None:
            while True:
                try:
                    caught.append(listener.accept())
                except OSError:
                    return

        threading.Thread(target=listen, daemon=True).start()
        told = addresses(listener.getsockname()[1])
        assert len(told) >= 60
        contract = http.get("/openapi.json").json()
        fields = itertools.cycle(
            [*((f"/api/v1/{r}", f) for r, f in _string_fields(contract)), ("/api/v1/uploads", "")]
        )
        for address in told:
            path, field = next(fields)
            headers = {"Upload-Metadata": f"filename {b64encode(address.encode()).decode()}"}
            headers |= {"Upload-Concat": f"final;{address}", "Referer": address, "Origin": address}
            if field:
                answer = http.post(path, json={field: address}, headers=headers)
            else:
                answer = http.post(path, headers=headers | {"Upload-Length": "1"})
            assert answer.status_code in {201, 400, 404, 422}, (path, field, address)
            query = {"url": address, "callback": address, "next": address, "sig": address}
            assert http.get("/api/v1/jobs", params=query).status_code in {200, 403, 422}
        listener.shutdown(socket.SHUT_RDWR)
    assert caught == []


def _string_fields(contract: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Route and field of every body that takes one."""
    for path, methods in contract["paths"].items():
        body = methods.get("post", {}).get("requestBody", {}).get("content", {})
        reference = body.get("application/json", {}).get("schema", {}).get("$ref", "")
        if "{" in path or not reference:
            continue
        schema = contract["components"]["schemas"][reference.rsplit("/", 1)[1]]
        yield from ((path.removeprefix("/api/v1/"), name) for name in schema["properties"])
