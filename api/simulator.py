"""The simulator process as the API asks it: one connection, many requests at once."""

import asyncio
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api.errors import Problem
from core.jobs import wire
from core.jobs.spec import Spec

ANSWER_SECONDS = 120.0
"""The first request loads torch and a model."""


class Simulator:
    """Connects at the first request, and again after the simulator was started anew."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[wire.Message]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    async def ask(
        self,
        operation: str,
        owner: str,
        fields: Spec | Mapping[str, Any] | None = None,
        body: bytes = b"",
    ) -> wire.Message:
        """Facts and bytes of the answer; a `Problem` if it is no, or if nobody answers (503)."""
        if isinstance(fields, Spec):
            fields = fields.model_dump(mode="json", exclude_unset=True)
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        message = wire.framed(
            {"id": number, "op": operation, "owner": owner, "fields": fields or {}}, body
        )
        try:
            writer = await self._connected()
            self._waiting[number] = future
            writer.write(message)
            await writer.drain()
            async with asyncio.timeout(ANSWER_SECONDS):
                header, data = await future
        except TimeoutError:
            raise _unavailable(f"it did not answer within {ANSWER_SECONDS:.0f} s") from None
        except OSError as error:
            raise _unavailable("it is being started, or is not running") from error
        finally:
            self._waiting.pop(number, None)
        header.pop("id", None)
        if (told := header.pop("error", None)) is not None:
            headers = {"Retry-After": "5"} if told["status"] == 429 else None
            raise Problem(told["status"], told["title"], told["detail"], headers=headers)
        return header, data

    async def close(self) -> None:
        """Cut the connection."""
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()

    async def _connected(self) -> asyncio.StreamWriter:
        if self._writer is not None:
            return self._writer
        async with self._connecting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_unix_connection(self._socket)
                self._reading = asyncio.create_task(self._read(reader, self._writer))
        return self._writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (message := await wire.read(reader)) is not None:
                future = self._waiting.get(message[0].get("id", 0))
                if future is not None and not future.done():
                    future.set_result(message)
        finally:
            writer.close()
            if self._writer is writer:
                self._writer = None
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionResetError("the simulator went away"))


def _unavailable(why: str) -> Problem:
    told = f"{why}; its sessions end with it. Ask again in a moment"
    return Problem(503, "The simulator does not answer", told, headers={"Retry-After": "2"})
