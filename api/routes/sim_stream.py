"""The simulator over a WebSocket: requests as JSON in, header and picture out, many at once."""

import asyncio
import json
import time
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from api.deps import Services, SignedCallerDep, SignedServicesDep
from api.errors import Problem, field_errors
from api.routes.sim import check_models, saved
from core.jobs import wire
from core.jobs.errors import StoreError
from core.jobs.records import Token
from core.jobs.simulation import Close, Reset, Save, Step

sockets = APIRouter(prefix="/sim", tags=["simulator"])

CHECK_SECONDS = 10.0
"""How long a token that was revoked may still be used."""
MOST_AT_ONCE = 64
MOST_BYTES = 65_536
REFUSED = 4401
"""Close code when the token is not valid any more."""


@sockets.websocket("/ws")
async def stream(socket: WebSocket, s: SignedServicesDep, token: SignedCallerDep) -> None:
    """A token in the header, or for browsers an address from `POST /sim/ticket`."""
    await socket.accept()
    await socket.send_bytes(wire.pack({"id": 0, "ready": True}))
    try:
        await Talk(socket, s, token).run()
    except (WebSocketDisconnect, RuntimeError):
        return  # the caller has left


class Talk:
    """One connection of one caller. The sessions that it opened end with it."""

    def __init__(self, socket: WebSocket, services: Services, token: Token) -> None:
        self._socket, self._services, self._token = socket, services, token
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
        return await run_sync(self._services.store.valid_token, self._token.id) is not None

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
