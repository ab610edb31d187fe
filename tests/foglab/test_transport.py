"""Errors are sentences; patience bridges a restart and nothing else."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from foglab.client import ServiceClient, ServiceError
from foglab.sse import parse_events

Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def talk_to() -> Iterator[Callable[..., ServiceClient]]:
    """A client whose requests a function answers."""
    made: list[httpx.Client] = []

    def make(handler: Handler, patience: float = 5.0) -> ServiceClient:
        inner = httpx.Client(transport=httpx.MockTransport(handler), base_url="http://foglab.test")
        made.append(inner)
        return ServiceClient("http://foglab.test", "secret", patience=patience, http=inner)

    yield make
    for client in made:
        client.close()


def test_problem_details_become_a_sentence(talk_to: Callable[..., ServiceClient]) -> None:
    body = {
        "title": "The request has wrong fields",
        "status": 422,
        "detail": "",
        "errors": [{"field": "spec.steps", "message": "must be at least 1"}],
    }
    client = talk_to(lambda _: httpx.Response(422, json=body))
    with pytest.raises(ServiceError) as refused:
        client.jobs()
    assert str(refused.value) == "The request has wrong fields. spec.steps: must be at least 1."
    assert refused.value.status == 422


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"[1]", b""])
def test_answers_of_others_are_errors_too(
    talk_to: Callable[..., ServiceClient], body: bytes
) -> None:
    client = talk_to(lambda _: httpx.Response(418, content=body))
    with pytest.raises(ServiceError, match="answered 418"):
        client.health()


def test_calls_are_repeated_while_the_service_is_away(
    talk_to: Callable[..., ServiceClient],
) -> None:
    answers: list[Exception | httpx.Response] = [
        httpx.ConnectError("refused"),
        httpx.Response(503, json={"title": "busy"}),
        httpx.Response(200, json={"status": "ok"}),
    ]
    seen = list[str]()

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert talk_to(handler).health() == {"status": "ok"}
    assert seen == ["Bearer secret"] * 3


def test_a_retry_of_a_job_is_never_sent_twice_in_doubt(
    talk_to: Callable[..., ServiceClient],
) -> None:
    seen = list[httpx.Request]()

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        raise httpx.ReadTimeout("no answer")

    with pytest.raises(ServiceError, match="does not answer"):
        talk_to(handler).retry("job_0123456789abcdef")
    assert len(seen) == 1


def test_repeated_submissions_carry_one_key(talk_to: Callable[..., ServiceClient]) -> None:
    keys = set[str]()

    def handler(request: httpx.Request) -> httpx.Response:
        keys.add(request.headers["idempotency-key"])
        raise httpx.ReadTimeout("no answer")

    with pytest.raises(ServiceError):
        talk_to(handler, patience=0.5).submit("ingest", {})
    assert len(keys) == 1


def test_impatient_calls_fail_at_once(talk_to: Callable[..., ServiceClient]) -> None:
    calls = list[int]()

    def handler(_: httpx.Request) -> httpx.Response:
        calls.append(1)
        raise httpx.ConnectError("refused")

    with pytest.raises(ServiceError) as refused:
        talk_to(handler, patience=0).health()
    assert refused.value.status == 0
    assert "foglab up" in str(refused.value)
    assert len(calls) == 1


def test_events_are_parsed_and_comments_skipped() -> None:
    text = (
        ': ping\n\nevent: metric\ndata: {"line": 1,\ndata: "step": 2}\nid: 1\n\n'
        'event: state\ndata: {"status": "failed"}\n\n'
    )
    events = list(parse_events(iter(text.split("\n"))))
    assert [(e.event, e.data) for e in events] == [
        ("metric", {"line": 1, "step": 2}),
        ("state", {"status": "failed"}),
    ]


def test_links_lead_to_where_the_browser_finds_the_service() -> None:
    with ServiceClient("http://api:8000", "x", public_url="https://lab.test/") as client:
        assert client.link("/api/v1/v?sig=1") == "https://lab.test/api/v1/v?sig=1"
        assert client.link("https://cdn.test/v") == "https://cdn.test/v"
