"""Around every request: an id, limits on the body, safe headers, and a last-resort handler."""

import logging
import secrets
import time
from asyncio import wait_for
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Problem, problem_response
from api.observe import Latencies
from core.logs import about

log = logging.getLogger("foglab.api")

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-site",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class BodyLimit:
    """`size` in bytes, None where the handler counts itself; `seconds` between two pieces."""

    size: int | None
    seconds: float


class Guard:
    """Pure ASGI, because streams must pass through unbuffered."""

    def __init__(
        self, app: ASGIApp, body_limit: Callable[[Scope], BodyLimit], latencies: Latencies
    ) -> None:
        self.app = app
        self.body_limit = body_limit
        self.latencies = latencies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                status = message["status"]
                _add_headers(MutableHeaders(scope=message), request_id, scope["path"])
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            with about(request_id=request_id):
                await self._limited(scope, receive, send_with_headers)
        except Exception:
            log.exception("unhandled error", extra={"request_id": request_id})
            if status or scope["type"] == "websocket":
                raise  # the answer has begun; all that is left is to cut it off
            response = problem_response(
                Problem(500, "The service made a mistake", f"Its log names it as {request_id}")
            )
            await response(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - started
            self.latencies.add(scope, status, seconds)
            log.info(
                "request",
                extra={
                    "request_id": request_id,
                    "method": scope.get("method", "WEBSOCKET"),
                    "path": scope["path"],
                    "status": status,
                    "ms": round(1000 * seconds, 1),
                    **scope["state"].get("log", {}),
                },
            )

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        if scope["type"] != "http" or (announced == "0" and "transfer-encoding" not in headers):
            await self.app(scope, receive, send)
            return
        limit = self.body_limit(scope)
        refusal = Problem(413, "The body is too large", f"At most {limit.size} bytes are read here")
        odd = not announced.isascii() or not announced.isdigit()
        if odd or (limit.size is not None and int(announced) > limit.size):
            await problem_response(refusal)(scope, receive, send)
            return
        received, complete = 0, False

        async def counted() -> Message:
            nonlocal received, complete
            try:
                message = await (receive() if complete else wait_for(receive(), limit.seconds))
            except TimeoutError:
                return _given_up(limit)
            complete = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if limit.size is not None and received > limit.size:
                # Not our Problem: FastAPI lets only this exception out of its body parser.
                raise HTTPException(refusal.status, refusal.detail)
            return message

        await self.app(scope, counted, send)


def _given_up(limit: BodyLimit) -> Message:
    """A client that sends nothing more: an upload keeps what has come, all else is refused."""
    if limit.size is None:
        return {"type": "http.disconnect"}
    raise HTTPException(408, f"Nothing came for {limit.seconds:g} s")


def _add_headers(headers: MutableHeaders, request_id: str, path: str) -> None:
    for name, value in SAFE_HEADERS.items():
        headers.setdefault(name, value)
    if path == "/play":
        del headers["X-Frame-Options"]  # its policy says which dashboards may show it
    headers["X-Request-Id"] = request_id
