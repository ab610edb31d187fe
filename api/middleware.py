"""Around every request: an id, a limit on the body, safe headers, and a last-resort handler."""

import logging
import secrets
import time
from collections.abc import Callable

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Problem, problem_response

log = logging.getLogger("foglab.api")

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "no-store",
}
DOCS_POLICY = (
    "default-src 'self'; img-src 'self' https://fastapi.tiangolo.com data:; "
    "script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; "
    "style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; frame-ancestors 'none'"
)


class Guard:
    """Pure ASGI, because streams must pass through unbuffered.

    `body_limit(scope)` gives the largest body in bytes, or None where the handler counts itself.
    """

    def __init__(self, app: ASGIApp, body_limit: Callable[[Scope], int | None]) -> None:
        self.app = app
        self.body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(MutableHeaders(scope=message), request_id, scope["path"])
            await send(message)

        try:
            await self._limited(scope, receive, send_with_headers)
        except Exception:
            log.exception("unhandled error", extra={"request_id": request_id})
            if status:
                raise  # the answer has begun; all that is left is to cut it off
            response = problem_response(
                Problem(500, "The service made a mistake", f"Its log names it as {request_id}")
            )
            await response(scope, receive, send_with_headers)
        finally:
            log.info(
                "request",
                extra={
                    "request_id": request_id,
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "ms": round(1000 * (time.perf_counter() - started), 1),
                },
            )

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self.body_limit(scope)
        if limit is None:
            await self.app(scope, receive, send)
            return
        refusal = Problem(413, "The body is too large", f"At most {limit} bytes are read here")
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isascii() or not announced.isdigit() or int(announced) > limit:
            await problem_response(refusal)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                # Not our Problem: FastAPI lets only this exception out of its body parser.
                raise HTTPException(refusal.status, refusal.detail)
            return message

        await self.app(scope, counted, send)


def _add_headers(headers: MutableHeaders, request_id: str, path: str) -> None:
    for name, value in SAFE_HEADERS.items():
        headers.setdefault(name, value)
    if path == "/play":
        del headers["X-Frame-Options"]  # its policy says which dashboards may show it
    if path == "/docs":
        headers["Content-Security-Policy"] = DOCS_POLICY
    headers["X-Request-Id"] = request_id
