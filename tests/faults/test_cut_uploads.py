"""P15: an upload that is cut anywhere goes on where it was, and ends with the right bytes."""

import hashlib
import os
import random
import socket
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import httpx

from core.jobs.store import Store
from tests.faults.conftest import Record, rounds
from tests.faults.lab import Api
from tests.faults.rig import Rig, ended

CHUNK = "application/offset+octet-stream"


class Server(Api):
    """The API, and a client that misbehaves."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig)
        self.client.headers["Tus-Resumable"] = "1.0.0"

    def create(self, data: bytes) -> str:
        digest = b64encode(hashlib.sha256(data).hexdigest().encode()).decode()
        answer = self.client.post(
            "/api/v1/uploads",
            headers={
                "Upload-Length": str(len(data)),
                "Upload-Metadata": f"filename {b64encode(b'logs').decode()},sha256 {digest}",
            },
        )
        assert answer.status_code == 201, answer.text
        return str(answer.headers["location"])

    def offset(self, place: str) -> int:
        """Asked until no request holds the upload any more."""
        return int(self.client.head(place).headers["upload-offset"])

    def break_off(self, place: str, at: int, data: bytes, end: Callable[[], None]) -> None:
        """Announce all of `data[at:]`, send a part, and let `end` happen."""
        cut = random.Random(at).randrange(at, len(data))
        token = self.client.headers["authorization"]
        head = (
            f"PATCH {place} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\n"
            f"Tus-Resumable: 1.0.0\r\nContent-Type: {CHUNK}\r\nUpload-Offset: {at}\r\n"
            f"Content-Length: {len(data) - at}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
            connection.sendall(head.encode() + data[at:cut])
            end()

    def patch(self, place: str, at: int, data: bytes, **headers: str) -> httpx.Response:
        """Send bytes; asked again while an earlier request is still ending."""
        given = {"Content-Type": CHUNK, "Upload-Offset": str(at), **headers}
        deadline = time.monotonic() + 60
        while True:
            answer = self.client.patch(place, content=data, headers=given)
            if answer.status_code != 423 or time.monotonic() > deadline:
                return answer
            time.sleep(0.02)


def test_upload_that_is_cut_ends_with_the_right_bytes(
    tmp_path: Path, sqlite_url: str, open_store: Callable[..., Store], record: Record
) -> None:
    chance = random.Random(15)
    many, server_kills, cuts = rounds(10, 200), 0, 0
    with ended(Rig(tmp_path / "home", sqlite_url, open_store(sqlite_url))) as rig:
        server = Server(rig)
        for n in range(many):
            data = os.urandom(chance.randrange(1, 3_000_000))
            place = server.create(data)
            for _ in range(chance.randrange(1, 3)):
                at = server.offset(place)
                if at == len(data):
                    break
                kill = n % 10 == 3
                server.break_off(place, at, data, server.kill if kill else lambda: None)
                cuts += 1
                if kill:
                    server.start()
                    server_kills += 1
            _refusals_change_nothing(server, place, data)
            at = server.offset(place)
            while at < len(data):
                answer = server.patch(place, at, data[at:])
                assert answer.status_code in (204, 409), answer.text  # a late end of the one before
                at = server.offset(place)
            told = server.client.get(place).json()
            assert told["complete"]
            assert told["sha256"] == hashlib.sha256(data).hexdigest()
            stored = rig.artifacts.upload(told["id"]) / "data"
            assert stored.read_bytes() == data
        server.client.close()
    record(
        "P15",
        what="uploads cut by client or server",
        tried=many,
        held=many,
        cuts=cuts,
        server_kills=server_kills,
    )


def _refusals_change_nothing(server: Server, place: str, data: bytes) -> None:
    """409 at a wrong offset, 460 for a wrong checksum, and the offset stays."""
    assert server.patch(place, len(data) + 1, b"x").status_code == 409
    at = _settled(server, place)
    if at < len(data):
        wrong = f"sha256 {b64encode(hashlib.sha256(b'other').digest()).decode()}"
        answer = server.patch(place, at, data[at : at + 10], **{"Upload-Checksum": wrong})
        assert answer.status_code == 460, answer.text
        assert server.offset(place) == at


def _settled(server: Server, place: str) -> int:
    """The offset once the request that was cut has ended."""
    before = -1
    while (now := server.offset(place)) != before:
        before = now
        time.sleep(0.1)
    return now
