"""Uploads survive cuts, wrong offsets, wrong checksums and crashes, and end with the right bytes."""

import hashlib
import json
import os
import socket
import threading
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from api.uploads import Announced, Uploads
from core.artifacts import Artifacts
from core.jobs.store import Store
from foglab import tus
from foglab.client import ServiceClient, ServiceError
from foglab.transport import Transport
from tests.api.conftest import Service
from tests.jobs.makers import Clock

DATA = bytes(range(251)) * 4000
UPLOADS = "/api/v1/uploads"


def announce(http: httpx.Client, size: int, **metadata: str) -> str:
    encoded = {k: b64encode(v.encode()).decode() for k, v in metadata.items()}
    pairs = ",".join(f"{k} {v}".strip() for k, v in encoded.items())
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Upload-Metadata": pairs}
    response = http.post(UPLOADS, headers=headers)
    assert response.status_code == 201, response.text
    return response.headers["location"]


def patch(
    http: httpx.Client, location: str, at: int, data: bytes, **headers: str
) -> httpx.Response:
    given = {"Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return http.patch(location, content=data, headers=given)


def offset(http: httpx.Client, location: str) -> int:
    response = http.head(location)
    assert response.headers["cache-control"] == "no-store"
    return int(response.headers["upload-offset"])


def digest(data: bytes) -> str:
    return b64encode(hashlib.sha256(data).digest()).decode()


def test_file_arrives_whole_and_is_listed(
    client: ServiceClient, service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "ärger.npz"
    path.write_bytes(DATA)
    seen: list[tuple[int, int]] = []
    ids: list[str] = []
    upload = client.upload(
        path, progress=lambda *p: seen.append(p), created=ids.append, chunk=300_000
    )
    assert ids == [upload.id]
    assert seen == [(n, len(DATA)) for n in (300_000, 600_000, 900_000, len(DATA))]
    folder = service.artifacts.upload(upload.id)
    assert (folder / "data").read_bytes() == DATA
    told = {"filename": "ärger.npz", "size": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}
    assert json.loads((folder / "upload.json").read_text()) == told
    assert upload.complete
    row = service.store.get_upload(upload.id)
    assert (row.filename, row.size, row.sha256) == tuple(told.values())


def test_folder_is_uploaded_as_a_zip(client: ServiceClient, tmp_path: Path) -> None:
    (tmp_path / "logs" / "deep").mkdir(parents=True)
    (tmp_path / "logs" / "deep" / "a.npz").write_bytes(b"a")
    upload = client.upload(tmp_path / "logs")
    assert upload.filename == "logs.zip"
    assert upload.complete


def test_empty_file_is_complete_at_once(http: httpx.Client) -> None:
    reply = http.get(announce(http, 0)).json()
    assert reply["complete"]
    assert reply["sha256"] == hashlib.sha256(b"").hexdigest()


def test_upload_goes_on_where_it_was_cut(
    client: ServiceClient, http: httpx.Client, tmp_path: Path
) -> None:
    path = tmp_path / "logs.npz"
    path.write_bytes(DATA)
    location = announce(http, len(DATA), filename="logs.npz")
    assert patch(http, location, 0, DATA[:12_345]).status_code == 204
    assert offset(http, location) == 12_345
    upload = client.upload(path, resume=location.rsplit("/", 1)[-1])
    assert upload.sha256 == hashlib.sha256(DATA).hexdigest()


def test_bytes_before_a_cut_connection_are_kept(http: httpx.Client, service: Service) -> None:
    location = announce(http, len(DATA))
    # What the server has not read yet when the connection ends is lost with it.
    cut_off(service, location, DATA[:200_000], announced=len(DATA), pause=0.5)
    kept = wait_for_offset(http, location, 200_000)
    assert patch(http, location, kept, DATA[kept:]).status_code == 204
    assert http.get(location).json()["sha256"] == hashlib.sha256(DATA).hexdigest()


def test_unfinished_chunk_with_checksum_is_discarded(http: httpx.Client, service: Service) -> None:
    location = announce(http, len(DATA))
    checksum = f"Upload-Checksum: sha256 {digest(DATA)}\r\n"
    cut_off(service, location, DATA[:200_000], announced=len(DATA), extra=checksum)
    # A refusal may come before the body was read, and then ends the connection.
    with httpx.Client(base_url=service.url, headers=http.headers, timeout=60) as once:
        assert patch(once, location, 0, DATA).status_code in {204, 423}
    if offset(http, location) == 0:
        assert patch(http, location, 0, DATA).status_code == 204
    assert http.get(location).json()["sha256"] == hashlib.sha256(DATA).hexdigest()


def cut_off(
    service: Service,
    location: str,
    data: bytes,
    *,
    announced: int,
    extra: str = "",
    pause: float = 0.0,
) -> None:
    """Announce many bytes, send some, pause for seconds, and drop the connection."""
    address = urlsplit(service.url)
    head = (
        f"PATCH {location} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {service.token}\r\n"
        f"Upload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\n{extra}"
        f"Content-Length: {announced}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port)) as raw:
        raw.sendall(head.encode() + data)
        threading.Event().wait(pause)


def wait_for_offset(http: httpx.Client, location: str, least: int) -> int:
    for _ in range(200):
        if (found := offset(http, location)) >= least:
            return found
        threading.Event().wait(0.01)
    raise AssertionError(f"offset stayed at {found}")


def test_wrong_offset_is_a_conflict_and_changes_nothing(http: httpx.Client) -> None:
    location = announce(http, len(DATA))
    patch(http, location, 0, DATA[:1000])
    for at in (0, 999, 1001, 10**9):
        refused = patch(http, location, at, b"x" * 100)
        assert refused.status_code == 409
        assert refused.json()["title"] == "Wrong offset"
    assert offset(http, location) == 1000


def test_wrong_checksum_is_460_and_changes_nothing(http: httpx.Client) -> None:
    location = announce(http, len(DATA))
    patch(http, location, 0, DATA[:1000])
    wrong = {"Upload_Checksum": f"sha256 {digest(b'other')}"}
    assert patch(http, location, 1000, DATA[1000:5000], **wrong).status_code == 460
    assert offset(http, location) == 1000
    right = {"Upload_Checksum": f"sha256 {digest(DATA[1000:5000])}"}
    assert patch(http, location, 1000, DATA[1000:5000], **right).status_code == 204


def test_file_unlike_its_announced_hash_is_never_complete(
    http: httpx.Client, service: Service
) -> None:
    location = announce(http, 6, sha256=hashlib.sha256(b"abcdef").hexdigest())
    patch(http, location, 0, b"abc")
    assert patch(http, location, 3, b"XXX").status_code == 460
    assert offset(http, location) == 3
    assert patch(http, location, 3, b"def").status_code == 204
    assert http.get(location).json()["complete"]


def test_more_bytes_than_announced_are_refused(http: httpx.Client) -> None:
    location = announce(http, 10)
    patch(http, location, 0, b"12345")
    assert patch(http, location, 5, b"678901").status_code == 413
    assert offset(http, location) == 5


def test_complete_upload_takes_no_more(http: httpx.Client) -> None:
    location = announce(http, 3)
    patch(http, location, 0, b"abc")
    assert patch(http, location, 3, b"d").status_code == 409
    assert http.get(location).json()["complete"]


def test_finished_upload_is_listed_until_it_is_removed(
    http: httpx.Client, service: Service
) -> None:
    location = announce(http, 3)
    upload_id = location.rsplit("/", 1)[-1]
    patch(http, location, 0, b"abc")
    (listed,) = [u for u in http.get(UPLOADS).json()["items"] if u["id"] == upload_id]
    assert (listed["size"], listed["sha256"]) == (3, hashlib.sha256(b"abc").hexdigest())
    used = service.store.uploaded_bytes()
    assert http.delete(location).status_code == 204
    assert service.store.uploaded_bytes() == used - 3
    assert not service.artifacts.upload(upload_id).exists()
    assert upload_id not in [u["id"] for u in http.get(UPLOADS).json()["items"]]
    gone = http.get(location)
    assert gone.status_code == 404
    assert "was removed" in gone.json()["detail"]
    assert http.delete(location).status_code == 404


def test_upload_that_a_job_is_about_to_read_is_kept(http: httpx.Client, service: Service) -> None:
    location = announce(http, 3)
    patch(http, location, 0, b"abc")
    body = {"kind": "detect", "spec": {"upload": location.rsplit("/", 1)[-1]}}
    job = http.post("/api/v1/jobs", json=body).json()["id"]
    refused = http.delete(location)
    assert refused.status_code == 409
    assert job in refused.json()["detail"]
    assert http.get(location).json()["complete"]
    http.post(f"/api/v1/jobs/{job}/cancel")
    assert http.delete(location).status_code == 204
    again = http.post("/api/v1/jobs", json=body)
    assert again.status_code == 422
    assert "was removed; upload the logs again" in again.text


def test_unfinished_upload_can_be_deleted(http: httpx.Client, service: Service) -> None:
    location = announce(http, 3)
    assert http.delete(location).status_code == 204
    assert http.head(location).status_code == 404
    assert not service.artifacts.upload(location.rsplit("/", 1)[-1]).exists()


def test_of_two_writers_one_wins(http: httpx.Client, service: Service) -> None:
    location = announce(http, 4)
    uploads: Uploads = service.app.state.services.uploads
    with uploads.writer(location.rsplit("/", 1)[-1], 0) as first:
        refused = patch(http, location, 0, b"BBBB")
        assert refused.status_code == 423
        first.write(b"AAAA")
        first.commit(None)
    assert http.get(location).json()["sha256"] == hashlib.sha256(b"AAAA").hexdigest()


def test_crash_after_the_last_byte_is_made_good(http: httpx.Client, service: Service) -> None:
    location = announce(http, 4)
    folder = service.artifacts.upload(location.rsplit("/", 1)[-1])
    (folder / "data").write_bytes(b"1234")  # as a killed process leaves it
    assert http.get(location).json()["complete"]
    assert service.store.get_upload(folder.name).size == 4


def test_crash_that_left_wrong_bytes_starts_over(http: httpx.Client, service: Service) -> None:
    location = announce(http, 4, sha256=hashlib.sha256(b"1234").hexdigest())
    folder = service.artifacts.upload(location.rsplit("/", 1)[-1])
    (folder / "data").write_bytes(b"12\0\0")
    assert offset(http, location) == 0
    assert not http.get(location).json()["complete"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 422),
        ({"Upload-Length": "-1"}, 422),
        ({"Upload-Length": "many"}, 422),
        ({"Upload-Length": str(60 << 20)}, 413),
        ({"Upload-Length": "1", "Tus-Resumable": "0.2.2"}, 412),
        ({"Upload-Length": "1", "Upload-Metadata": "filename ???"}, 400),
        ({"Upload-Length": "1", "Upload-Metadata": "sha256 eHl6"}, 400),
    ],
)
def test_bad_announcements_are_refused(
    http: httpx.Client, headers: dict[str, str], status: int
) -> None:
    refused = http.post(UPLOADS, headers=headers)
    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/problem+json"


def test_bad_chunks_are_refused(http: httpx.Client) -> None:
    location = announce(http, 4)
    assert patch(http, location, 0, b"x", Content_Type="text/plain").status_code == 415
    assert patch(http, location, 0, b"x", Upload_Checksum="md5 eA==").status_code == 400
    assert patch(http, location, 0, b"x", Upload_Checksum="sha256 ?").status_code == 400
    assert patch(http, f"{UPLOADS}/up_{'0' * 32}", 0, b"x").status_code == 404
    assert offset(http, location) == 0


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b\\c", "x\x00y\r\nz", "", "n" * 999])
def test_file_names_never_become_paths(http: httpx.Client, service: Service, name: str) -> None:
    location = announce(http, 0, filename=name)
    filename = http.get(location).json()["filename"]
    assert 1 <= len(filename) <= 255
    assert not set(filename) & set("/\\\x00\r\n")
    stored = {p.name for p in service.artifacts.upload(location.rsplit("/", 1)[-1]).iterdir()}
    assert stored == {"data", "announced.json", "upload.json"}


@pytest.mark.parametrize(
    "name", ["..%2f..%2fsecret", "up_", "up_" + "g" * 40, "ds_0123456789abcdef"]
)
def test_ids_that_are_none_are_not_found(http: httpx.Client, name: str) -> None:
    assert http.get(f"{UPLOADS}/{name}").status_code == 404


def test_capabilities_are_told(http: httpx.Client) -> None:
    headers = http.options(UPLOADS).headers
    assert headers["tus-extension"] == "creation,checksum,termination"
    assert headers["tus-checksum-algorithm"] == "sha256"
    assert headers["tus-max-size"] == str(50 << 20)


def test_abandoned_uploads_are_removed_and_others_stay(
    tmp_path: Path, sqlite_url: str, open_store: Callable[..., Store]
) -> None:
    clock = Clock(0.0)
    store = open_store(sqlite_url, clock=clock)
    uploads = Uploads(Artifacts(tmp_path), store)
    old, young = (uploads.create(Announced("a", 2, None)) for _ in range(2))
    done = uploads.create(Announced("a", 0, None))
    uploads.settle(done)
    for upload in (old, done):
        os.utime(tmp_path / "uploads" / upload / "data", (0, 0))
    assert uploads.remove_abandoned(3600) == 1
    assert store.has_upload(young)
    assert not store.has_upload(old)  # and what it took of the quota is free again
    assert {p.name for p in (tmp_path / "uploads").iterdir()} == {young, done}


def test_missing_file_is_one_sentence(client: ServiceClient, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="does not exist"):
        client.upload(tmp_path / "nothing.npz")


@limits(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 5000), max_size=8), tail=st.binary(max_size=64))
def test_any_cutting_gives_the_same_file(http: httpx.Client, cuts: list[int], tail: bytes) -> None:
    data = DATA[:9000] + tail
    location = announce(http, len(data), sha256=hashlib.sha256(data).hexdigest())
    at = 0
    for cut in [*cuts, len(data)]:
        piece = data[at : at + cut]
        assert patch(http, location, at, piece).status_code == (204 if at < len(data) else 409)
        at += len(piece)
    assert http.get(location).json()["complete"]


def test_chunk_that_arrives_damaged_is_sent_again(http: httpx.Client, service: Service) -> None:
    """The client asks where to go on when the service did not take a chunk."""
    location = announce(http, 10)
    patch(http, location, 0, b"01234")
    with httpx.Client(base_url=service.url) as inner:
        transport = Transport(service.url, service.token, http=inner)
        with pytest.raises(ServiceError) as refused:
            tus.send_chunk(transport, location, 0, b"01234")
        assert refused.value.status == 409
        assert tus.current_offset(transport, location) == 5
