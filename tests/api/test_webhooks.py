"""Webhooks against a real receiver: signed, repeated, and only to where they may go."""

import hashlib
import hmac
import ipaddress
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from api.addresses import Refused, parsed, public, resolve
from api.main import create_app
from api.settings import Settings
from api.webhooks import Sender
from core.jobs import webhooks
from core.jobs.spec import IngestSpec
from foglab.cli import app
from foglab.client import ServiceClient, ServiceError
from tests.api import makers
from tests.api.conftest import Service, serve

PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Settings:
    return Settings(
        home=tmp_path_factory.mktemp("home"),
        database_url=database_url,
        webhook_private=True,
        webhook_seconds=0.05,
    )


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "BACK_OFF_SECONDS", (0.1, 0.1, 0.1))


class Receiver:
    """Remembers what it was told, and answers as it was told to."""

    def __init__(self, port: int = 0) -> None:
        self.answers: list[int] = []
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, dict(self.headers), body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def admin(service: Service) -> Iterator[ServiceClient]:
    with ServiceClient(service.url, service.token, timeout=60) as client:
        yield client
        for hook in client.webhooks():
            client.remove_webhook(hook.id)


def ended_job(service: Service) -> str:
    store = service.store
    job = store.submit(IngestSpec(upload=makers.upload(store), name="logs"), "logs")
    return store.request_cancel(job.id).id


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_an_ended_job_is_told_with_a_signature(
    service: Service, admin: ServiceClient, receiver: Receiver
) -> None:
    hook = admin.add_webhook(receiver.url)
    job = ended_job(service)
    until(lambda: [d for d in admin.deliveries(hook.id) if d.state == "delivered"])
    ((path, headers, body),) = receiver.got
    told = json.loads(body)
    assert (path, told["event"], told["job"]["id"]) == ("/hook", "job.cancelled", job)
    signed = f"{headers['X-Foglab-Timestamp']}.".encode() + body
    mac = hmac.new(hook.secret.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["X-Foglab-Signature"] == f"sha256={mac}"
    assert headers["X-Foglab-Delivery"] == told["id"] == admin.deliveries(hook.id)[0].id
    assert hook.secret not in json.dumps([w.model_dump(mode="json") for w in admin.webhooks()])


def test_nothing_is_lost_while_the_receiver_is_down(
    service: Service, admin: ServiceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "BACK_OFF_SECONDS", (0.1,) * 1000)
    away = Receiver()
    away.close()
    hook = admin.add_webhook(away.url)
    jobs = {ended_job(service) for _ in range(3)}
    until(lambda: all(d.attempt >= 2 for d in admin.deliveries(hook.id)))
    assert all(d.error and d.next_try_at for d in admin.deliveries(hook.id))
    back = Receiver(away.port)
    until(lambda: all(d.state == "delivered" for d in admin.deliveries(hook.id)))
    back.close()
    assert {json.loads(body)["job"]["id"] for _, _, body in back.got} == jobs


def test_a_receiver_that_refuses_is_given_up(
    service: Service, admin: ServiceClient, receiver: Receiver
) -> None:
    receiver.answers = [500] * 4
    hook = admin.add_webhook(receiver.url)
    ended_job(service)
    until(lambda: admin.deliveries(hook.id)[0].state == "given_up")
    (log,) = admin.deliveries(hook.id)
    assert (log.attempt, log.status_code, len(receiver.got)) == (4, 500, 4)
    assert log.error == "the receiver answered 500"


def test_redirects_are_not_followed(
    service: Service, admin: ServiceClient, receiver: Receiver
) -> None:
    receiver.answers = [302, 307]
    hook = admin.add_webhook(receiver.url)
    ended_job(service)
    until(lambda: admin.deliveries(hook.id)[0].state == "delivered")
    assert [path for path, _, _ in receiver.got] == ["/hook"] * 3


def test_the_name_is_looked_up_once_and_sent_as_host(
    service: Service, admin: ServiceClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: Any, *rest: Any, **kw: Any) -> Any:
        if host != "receiver.test":
            return real(host, *rest, **kw)
        asked.append(host)
        return real("127.0.0.1", *rest, **kw)

    hook = service.store.add_webhook(f"http://receiver.test:{receiver.port}/a?b=c")
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    ended_job(service)
    until(lambda: admin.deliveries(hook.id)[0].state == "delivered")
    assert len(asked) == 1
    path, headers, _ = receiver.got[0]
    assert (path, headers["Host"]) == ("/a?b=c", f"receiver.test:{receiver.port}")


def test_a_test_is_told_like_the_end_of_a_job(admin: ServiceClient, receiver: Receiver) -> None:
    hook = admin.add_webhook(receiver.url)
    asked = admin.test_webhook(hook.id)
    assert (asked.event, asked.job_id) == ("webhook.test", "")
    until(lambda: admin.deliveries(hook.id)[0].state == "delivered")
    ((_, headers, body),) = receiver.got
    assert json.loads(body) == {"id": asked.id, "event": "webhook.test"}
    signed = f"{headers['X-Foglab-Timestamp']}.".encode() + body
    mac = hmac.new(hook.secret.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["X-Foglab-Signature"] == f"sha256={mac}"


def test_what_was_given_up_is_told_again_under_its_id(
    service: Service, admin: ServiceClient, receiver: Receiver
) -> None:
    receiver.answers = [500] * 4
    hook = admin.add_webhook(receiver.url)
    ended_job(service)
    until(lambda: admin.deliveries(hook.id)[0].state == "given_up")
    (log,) = admin.deliveries(hook.id)
    assert admin.resend(hook.id, log.id).id == log.id
    until(lambda: admin.deliveries(hook.id)[0].state == "delivered")
    assert {json.loads(body)["id"] for _, _, body in receiver.got} == {log.id}
    assert len(receiver.got) == 5
    with pytest.raises(ServiceError, match="knows no dl_0000000000000000"):
        admin.resend(hook.id, "dl_0000000000000000")
    with pytest.raises(ServiceError, match="no webhook"):
        admin.test_webhook("wh_0000000000000000")


PRIVATE = (
    "http://127.0.0.1/",
    "http://127.1:8000/",
    "http://2130706433/",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[fe80::1]/",
    "http://10.1.2.3/",
    "http://192.168.0.1/",
    "http://169.254.169.254/latest/meta-data",
    "http://0.0.0.0/",
    "http://100.64.0.1/",
    "http://224.0.0.1/",
    "http://localhost/",
)


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_are_refused(url: str) -> None:
    with pytest.raises(Refused, match="not a public address"):
        resolve(url, private=False)


@pytest.mark.parametrize(
    "url", ["ftp://a.example/", "http://", "http://me:secret@a.example/", "file:///etc/passwd", "x"]
)
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        parsed(url)


@given(st.ip_addresses(v=4))
def test_an_address_written_in_ipv6_is_as_public_as_it_is(ip: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address(f"::ffff:{ip}")
    assert public(mapped) == public(ip)
    assert not (public(ip) and (ip.is_private or ip.is_loopback or ip.is_multicast))


def test_a_private_address_is_refused_when_told_and_when_registered(
    service: Service, admin: ServiceClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The service's own sender tries too: it must not give up before the strict one had its turn.
    monkeypatch.setattr(webhooks, "BACK_OFF_SECONDS", (0.1,) * 100_000)
    job = ended_job(service)
    strict = service.app.state.services
    hook = admin.add_webhook(receiver.url)
    receiver.answers = [500] * 100_000
    assert ended_job(service) != job
    until(lambda: receiver.got)
    sender = Sender(strict.store, private=False, every=1)
    told = len(receiver.got)

    def refused() -> bool:
        (log,) = admin.deliveries(hook.id)
        sender.deliver(log.id)
        return "not a public address" in (admin.deliveries(hook.id)[0].error or "")

    until(refused)
    assert told <= len(receiver.got)
    with pytest.raises(ServiceError, match="only http"):
        admin.add_webhook("gopher://a.example/")


def test_without_the_setting_private_addresses_cannot_be_registered(
    service: Service, settings: Settings, receiver: Receiver
) -> None:
    closed = create_app(settings.model_copy(update={"webhook_private": False}))
    with serve(closed) as url, ServiceClient(url, service.token) as client:
        with pytest.raises(ServiceError, match="FOGLAB_WEBHOOK_PRIVATE"):
            client.add_webhook(receiver.url)
        assert client.webhooks() == []
    assert receiver.got == []


def test_only_admins_see_webhooks(service: Service) -> None:
    token = service.store.create_token("writer", scopes=["write"])
    with ServiceClient(service.url, token) as writer:
        with pytest.raises(ServiceError, match="lacks the scope 'admin'"):
            writer.webhooks()
        with pytest.raises(ServiceError, match="lacks the scope 'admin'"):
            writer.add_webhook("https://a.example")


def test_webhooks_are_kept_from_the_shell(
    service: Service, admin: ServiceClient, receiver: Receiver
) -> None:
    def foglab(*words: str) -> Any:
        place = ["--json", "--url", service.url, "--token", service.token, "webhook"]
        result = CliRunner().invoke(app, [*place, *words])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    made = foglab("add", receiver.url)
    assert made["secret"].startswith("whs_")
    assert [w["id"] for w in foglab("list")] == [made["id"]]
    ended_job(service)
    until(lambda: foglab("log", made["id"])[0]["state"] == "delivered")
    told = foglab("log", made["id"])[0]["id"]
    assert foglab("resend", made["id"], told)["id"] == told
    assert foglab("test", made["id"])["event"] == "webhook.test"
    foglab("remove", made["id"])
    assert foglab("list") == []
