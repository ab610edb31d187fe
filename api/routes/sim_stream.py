"""The simulator over a WebSocket: requests as JSON in, header and picture out, many at once."""

import asyncio
import json
import time
from typing import Any
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from api.deps import Services
from api.errors import Problem, field_errors
from api.routes.sim import check_models, saved
from core.jobs import wire
from core.jobs.errors import StoreError
from core.jobs.records import Token
from core.jobs.simulation import Close, Reset, Save, Step

sockets = APIRouter(prefix="/sim", tags=["simulator"])

SIGN_IN_SECONDS = 15.0
CHECK_SECONDS = 10.0
"""How long a token that was revoked may still be used."""
MOST_AT_ONCE = 64
MOST_BYTES = 65_536
REFUSED = 4401
"""Close code for a missing or invalid token."""


@sockets.websocket("/ws")
async def stream(socket: WebSocket) -> None:
    """First message `{"token": "fog_…"}`, unless the handshake had the header; then requests."""
    if not _allowed_origin(socket):
        await socket.close(1008, "this origin may not connect")
        return
    await socket.accept()
    try:
        talk = await _signed_in(socket)
        if talk is not None:
            await talk.run()
    except (WebSocketDisconnect, TimeoutError, RuntimeError):
        pass


def _allowed_origin(socket: WebSocket) -> bool:
    """Pages of this service and of the dashboards; programs send no origin."""
    origin = socket.headers.get("origin")
    services: Services = socket.app.state.services
    same = origin is not None and urlsplit(origin).netloc == socket.headers.get("host")
    return origin is None or same or origin in services.settings.cors_origins


async def _signed_in(socket: WebSocket) -> "Talk | None":
    services: Services = socket.app.state.services
    scheme, _, secret = socket.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        async with asyncio.timeout(SIGN_IN_SECONDS):
            first = await socket.receive_text()
        try:
            secret = str(json.loads(first[:1000])["token"])
        except (ValueError, KeyError, TypeError):
            secret = ""
    token = await run_sync(_valid, services, secret)
    if token is None:
        await socket.close(REFUSED, "the token is not valid, or may not write")
        return None
    await socket.send_bytes(wire.pack({"id": 0, "ready": True}))
    return Talk(socket, services, token, secret)


def _valid(services: Services, secret: str) -> Token | None:
    token = services.store.check_token(secret)
    return token if token is not None and token.allows("write") else None


class Talk:
    """One connection of one caller. The sessions that it opened end with it."""

    def __init__(self, socket: WebSocket, services: Services, token: Token, secret: str) -> None:
        self._socket, self._all, self._token, self._secret = socket, services, token, secret
        self._services = services.of(token)
        self._checked = time.monotonic()
        self._sessions: set[str] = set()
        self._sending = asyncio.Lock()
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    async def run(self) -> None:
        """Answer until the caller leaves."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                text = await self._socket.receive_text()
                if not await self._still_valid():
                    await self._socket.close(REFUSED, "the token is not valid any more")
                    return
                await self._room.acquire()
                task = asyncio.create_task(self._answer(text))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        finally:
            for task in tasks:
                task.cancel()
            for session in self._sessions:
                await self._close_quietly(session)

    async def _answer(self, text: str) -> None:
        number: Any = None
        try:
            header: wire.Header = {}
            data = b""
            try:
                asked = self._read(text)
                number = asked.pop("id", None)
                header, data = await self._done(asked)
            except ValidationError as error:
                header = _refusal(field_errors(error))
            except Problem as problem:
                header = _refusal(problem)
            except StoreError:
                header = _refusal(Problem(503, "The database is busy", "Try again"))
            async with self._sending:
                await self._socket.send_bytes(wire.pack({"id": number, **header}, data))
        except (RuntimeError, WebSocketDisconnect):
            pass  # the caller has left
        finally:
            self._room.release()

    def _read(self, text: str) -> dict[str, Any]:
        try:
            asked = json.loads(text) if len(text) <= MOST_BYTES else None
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            told = f"Send one JSON object of at most {MOST_BYTES} bytes"
            raise Problem(400, "Not a request", told)
        return asked

    async def _done(self, asked: dict[str, Any]) -> wire.Message:
        operation, owner = asked.pop("op", None), self._token.id
        ask = self._services.simulator.ask
        match operation:
            case "step":
                return await ask("step", owner, Step.model_validate(asked))
            case "reset":
                reset = Reset.model_validate(asked)
                await run_sync(check_models, self._services, reset)
                answer = await ask("reset", owner, reset)
                self._sessions.add(answer[0]["session_id"])
                return answer
            case "close":
                close = Close.model_validate(asked)
                self._sessions.discard(close.session_id)
                return await ask("close", owner, close)
            case "save":
                done = await saved(self._services, self._token, Save.model_validate(asked))
                return done.model_dump(mode="json"), b""
        raise Problem(422, "No such operation", "op: one of reset, step, close, save")

    async def _still_valid(self) -> bool:
        if time.monotonic() - self._checked < CHECK_SECONDS:
            return True
        self._checked = time.monotonic()
        return await run_sync(_valid, self._all, self._secret) is not None

    async def _close_quietly(self, session: str) -> None:
        try:
            await self._services.simulator.ask("close", self._token.id, {"session_id": session})
        except Problem:
            return  # it ended with the simulator


def _refusal(problem: Problem) -> wire.Header:
    told = {"status": problem.status, "title": problem.title, "detail": problem.detail}
    if problem.errors is not None:
        told["errors"] = problem.errors
    return {"error": told}
