"""Server-sent events of a job, as an iterator that reconnects."""

import json
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import httpx

from core.jobs.replies import TERMINAL, Event
from foglab.transport import ServiceError, Transport, problem

QUIET_SECONDS = 45.0
"""The service sends a comment each 15 s; a stream silent for longer is dead."""


def job_events(transport: Transport, path: str, after: int) -> Iterator[Event]:
    """Events until the job's last state; a cut is bridged for as long as patience lasts."""
    last, deadline = after, time.monotonic() + transport.patience
    while True:
        try:
            with closing(_stream(transport, path, last)) as events:
                for event in events:
                    deadline = time.monotonic() + transport.patience
                    if event.event == "metric":
                        last = int(event.data["line"])
                    yield event
                    if event.event == "state" and event.data.get("status") in TERMINAL:
                        return
        except ServiceError as error:
            if error.status not in {0, 502, 503, 504} or time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def _stream(transport: Transport, path: str, after: int) -> Generator[Event]:
    timeout = httpx.Timeout(10.0, read=QUIET_SECONDS)
    try:
        with transport.http.stream(
            "GET", path, headers={"Last-Event-ID": str(after)}, timeout=timeout
        ) as response:
            if response.is_error:
                response.read()
                raise problem(response)
            yield from parse_events(response.iter_lines())
    except httpx.TransportError as error:
        raise transport.unreachable(error) from error


def parse_events(lines: Iterator[str]) -> Iterator[Event]:
    """Events of a text/event-stream, comments left out."""
    name, data = "message", list[str]()
    for line in lines:
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield Event.model_validate({"event": name, "data": _object("\n".join(data))})
            name, data = "message", []


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    return value if isinstance(value, dict) else {"value": value}
