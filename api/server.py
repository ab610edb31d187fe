"""How connections are served: bounds on clients that are slow on purpose, greedy, or too many."""

import asyncio
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 20.0
"""Time for the head of a request, from its first byte, or from the connection's start."""
HEAD_BYTES = 64 << 10
"""Size of a head, with what came of the body in the same piece of data."""
MOST_CONNECTIONS = 900
"""Below the usual limit of 1,024 open files; more are answered 503 at once."""


class PatientProtocol(HttpToolsProtocol):
    """Hangs up on clients that do not finish the head of a request in time, or within bounds."""

    head_seconds = HEAD_SECONDS
    _waiting: asyncio.TimerHandle | None = None
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        upgraded = self not in self.connections
        if upgraded or self.cycle is not before or self._busy():
            self._stop_waiting()
            self._head = 0
            return
        self._head += len(data)
        if self._head > HEAD_BYTES:
            self._hang_up()
        elif self._waiting is None:
            self._wait()

    def _busy(self) -> bool:
        """Whether a request is being answered."""
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.head_seconds, self._hang_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _hang_up(self) -> None:
        if not self.transport.is_closing() and not self._busy():
            self.transport.close()


def config(app: FastAPI, **options: Any) -> uvicorn.Config:
    """What a server of this application needs; `options` are uvicorn's own."""
    return uvicorn.Config(
        app,
        http=PatientProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        ws="websockets-sansio",
        ws_max_size=1 << 20,
        ws_per_message_deflate=False,  # pixels: it would cost more time than it saves
        # X-Forwarded-… is believed only from a proxy on this machine.
        forwarded_allow_ips="127.0.0.1",
        **options,
    )
