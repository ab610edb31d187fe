"""Ports that nobody else can take, and waiting for what answers on them."""

import contextlib
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from foglab.installation import CannotStart
from foglab.supervisor import Supervisor

HOST = "127.0.0.1"
_START_SECONDS = 90.0


@contextlib.contextmanager
def listen(what: str, wanted: int | None, usual: int) -> Iterator[socket.socket]:
    """A listening socket: on the wanted port, else on the usual one, else on any free one.

    The API gets the socket itself. So nobody can take its port between two starts, and requests
    that come while it restarts wait instead of failing.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, usual if wanted is None else wanted))
        except OSError as error:
            if wanted is not None:
                raise CannotStart(f"port {wanted} for the {what} is taken; name another") from error
            listener.bind((HOST, 0))
        listener.listen(1024)
        yield listener


def wait_for(url: str, supervisor: Supervisor, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and supervisor.is_alive():
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(url, timeout=5),
        ):
            return
        time.sleep(0.1)
    raise CannotStart(f"{url} does not answer; see {log}")
