"""Every refusal as problem details (RFC 9457), decided in one table."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, WebSocket, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.websockets import WebSocketState

from core.disk import DiskFull, is_full

Handler = Callable[[Request, Exception], Awaitable[JSONResponse]]


class Problem(Exception):
    """A refusal with words of its own."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        errors: list[dict[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(title)
        self.status, self.title, self.detail = status, title, detail
        self.errors, self.headers = errors, headers


class ProblemDetails(BaseModel):
    """The body of every refusal."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = Field(
        None, description="Wrong fields: `field` as in `spec.steps`, and `message`"
    )


DOCUMENTED: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Refused",
        "content": {"application/problem+json": {"schema": ProblemDetails.model_json_schema()}},
    }
}
"""For OpenAPI: what any route may answer besides what it is for."""


def problem_response(problem: Problem) -> JSONResponse:
    """The problem as application/problem+json."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail or problem.title,
    }
    if problem.errors is not None:
        body["errors"] = problem.errors
    return JSONResponse(
        body, problem.status, problem.headers, media_type="application/problem+json"
    )


def field_errors(error: RequestValidationError | ValidationError, prefix: str = "") -> Problem:
    """422 that names each wrong field, as `spec.steps`, and what is wrong with it."""
    errors = []
    for e in error.errors():
        path = [str(part) for part in e["loc"] if part not in _NOISE]
        errors.append({"field": ".".join([prefix, *path]).strip("."), "message": e["msg"]})
    told = "; ".join(f"{e['field'] or 'body'}: {e['message']}" for e in errors)
    return Problem(422, "The request has wrong fields", told, errors=errors)


_NOISE = frozenset({"body", "query", "path", "header"})


def _http(error: HTTPException) -> Problem:
    phrase = HTTPStatus(error.status_code).phrase
    detail = "" if error.detail == phrase else str(error.detail)
    return Problem(error.status_code, phrase, detail, headers=error.headers)


def _os_error(error: OSError) -> Problem | None:
    if is_full(error):
        room = f"It has no room for this: {error.strerror}" if isinstance(error, DiskFull) else ""
        return Problem(
            507,
            "The service's disk is full",
            room or "Free space on the service's disk",
            headers={"Retry-After": "30"},
        )
    return None


def handler(translate: Callable[[Any], Problem | None]) -> Handler:
    """An exception handler of FastAPI from a translation; None lets the error go on."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        problem = translate(error)
        if problem is None:
            raise error
        response = problem_response(problem)
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = ", ".join(_methods(request))
        if isinstance(request, WebSocket):
            await _refuse(request, problem, response)
        return response

    return handle


def _methods(request: Request) -> list[str]:
    """All methods of a path: several routes may have one each, and a router knows only its own."""
    state, path = request.app.state, request.scope["path"]
    if not hasattr(state, "methods_by_pattern"):
        state.methods_by_pattern = [
            (compile_path(context.path)[0], context.methods or set())
            for context in iter_route_contexts(request.app.routes)
            if context.path
        ]
    found = [methods for pattern, methods in state.methods_by_pattern if pattern.match(path)]
    return sorted(set().union(*found))


async def _refuse(socket: WebSocket, problem: Problem, response: JSONResponse) -> None:
    """Answer a handshake like a request; close what is open already with the reason."""
    if socket.application_state is WebSocketState.CONNECTING:
        await socket.send_denial_response(response)
    elif socket.application_state is WebSocketState.CONNECTED:
        code = status.WS_1011_INTERNAL_ERROR
        if problem.status < 500:
            code = status.WS_1008_POLICY_VIOLATION
        await socket.close(code, problem.title)


def install(app: FastAPI, table: Mapping[type[Exception], Callable[[Any], Problem | None]]) -> None:
    """Register the general table and the service's own."""
    general: dict[type[Exception], Callable[[Any], Problem | None]] = {
        Problem: lambda error: error,
        RequestValidationError: field_errors,
        HTTPException: _http,
        OSError: _os_error,
    }
    for kind, translate in {**general, **table}.items():
        app.add_exception_handler(kind, handler(translate))
