"""Requests from a Unix socket to the device, and its answers back."""

import asyncio
import contextlib
import logging
import os
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.jobs import wire
from core.jobs.simulation import Act, Reset, Step
from worker.simulator.device import Device

log = logging.getLogger("foglab.simulator")


class Server:
    """Many requests at once on each connection; answers come as they are ready."""

    def __init__(self, device: Device) -> None:
        self._device = device

    async def listen(self, path: Path) -> asyncio.Server:
        """Take the socket over; only this user may connect."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            return await asyncio.start_unix_server(self._talk, path)
        finally:
            os.umask(before)

    async def _talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        tasks: set[asyncio.Task[None]] = set()
        try:
            while (message := await wire.read(reader)) is not None:
                task = asyncio.create_task(self._answer(message, writer))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        except wire.Broken as error:
            log.warning("a connection was cut: %s", error)
        except asyncio.CancelledError:
            return  # the process ends; the stream's own callback would log it as a mistake
        finally:
            for task in tasks:
                task.cancel()
            writer.close()

    async def _answer(self, message: wire.Message, writer: StreamWriter) -> None:
        header, body = message
        number = header.get("id")
        try:
            answer = await asyncio.wrap_future(self._ask(header, body))
        except (ValidationError, ValueError) as error:
            told, data = _refusal(422, "The request has wrong fields", str(error)), b""
        except Exception as error:
            told, data = _refusal(500, "The simulator made a mistake", repr(error)[:500]), b""
        else:
            if isinstance(answer, Exception):
                refused: Any = answer
                told, data = _refusal(refused.status, refused.title, refused.detail), b""
            else:
                told, data = answer
        with contextlib.suppress(ConnectionError):
            writer.write(wire.framed({"id": number, **told}, data))
            await writer.drain()

    def _ask(self, header: wire.Header, body: bytes) -> Any:
        """Raises `ValueError` for what cannot be asked."""
        owner, fields = str(header["owner"]), header.get("fields", {})
        match header.get("op"):
            case "reset":
                return self._device.ask(owner, Reset.model_validate(fields))
            case "step":
                return self._device.ask(owner, Step.model_validate(fields))
            case "act":
                return self._device.ask(owner, Act.model_validate(fields), body)
            case "close":
                session = str(fields["session_id"])
                return self._device.ask(owner, lambda e, o: e.close(o, session))
            case "recorded":
                session = str(fields["session_id"])
                return self._device.ask(owner, lambda e, o: e.recorded(o, session))
            case "info":
                model = fields.get("model")
                return self._device.ask(owner, lambda e, o: e.info(o, model))
            case other:
                raise ValueError(f"no operation {other!r}")


def _refusal(status: int, title: str, detail: str) -> wire.Header:
    return {"error": {"status": status, "title": title, "detail": detail}}
