"""A real PostgreSQL for the length of a test session, reached by a Unix socket: no port at all."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

_MISSING = "PostgreSQL's server programs were not found: apt-get install postgresql"
_START_SECONDS = 60
_PR_SET_PDEATHSIG = 1


class Server:
    """A fresh server in a folder, reached by the socket in it; superuser `foglab`, no password."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._binaries, self._who = folder, _binaries(), _who(folder)
        initdb = [self._binaries / "initdb", "-D", folder / "data", "-U", "foglab", "-A", "trust"]
        subprocess.run(
            [*initdb, "-N", "--no-locale", "-E", "UTF8"],
            check=True,
            capture_output=True,
            **self._who,
        )

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._binaries / "postgres", "-D", self.folder / "data", "-k", self.folder),
                    # No port; and tests may lose their data with the machine.
                    *("-c", "listen_addresses=", "-c", "fsync=off"),
                    *("-c", "shared_buffers=32MB", "-c", "max_connections=60"),
                ],
                stdout=log,
                stderr=log,
                # A killed test session leaves no server. (Set after the change of user.)
                preexec_fn=partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, signal.SIGQUIT),
                **self._who,
            )
        _wait(self.folder, self._process)

    def stop_at_once(self) -> None:
        """As `pg_ctl stop -m immediate`: nothing is finished, the next start recovers."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)


@contextmanager
def stoppable() -> Iterator[Server]:
    """A running server that the test may stop and start."""
    folder = Path(tempfile.mkdtemp(prefix="foglab-pg-", dir=scratch()))
    try:
        one = Server(folder)
        try:
            one.start()
            yield one
        finally:
            one.stop_at_once()
    finally:
        shutil.rmtree(folder)


@contextmanager
def server() -> Iterator[Path]:
    """Folder of the socket of a running server."""
    with stoppable() as one:
        yield one.folder


def scratch() -> str | None:
    """A folder in memory if there is room in one: databases of tests need no disk.

    On a busy disk every commit of a test would wait for the writes of other programs.
    """
    memory = "/dev/shm"
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30
    return memory if roomy else None


def address(folder: Path, database: str) -> str:
    """URL of a database of the server."""
    return f"postgresql+psycopg://foglab@/{database}?host={folder}"


def execute(folder: Path, statement: str, database: str = "postgres") -> None:
    """Run one statement outside of a transaction; give up on locks that a test left behind."""
    login = f"{_login(folder, database)} options='-c lock_timeout=10s'"
    with psycopg.connect(login, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


def _login(folder: Path, database: str = "postgres") -> str:
    return f"host={folder} user=foglab dbname={database}"


def _binaries() -> Path:
    if found := shutil.which("initdb"):
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if not versions:
        raise RuntimeError(_MISSING)
    return versions[-1].parent


def _version(path: Path) -> float:
    return float(path.parent.parent.name)


def _who(folder: Path) -> dict[str, Any]:
    """The server refuses to run as root."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": folder}


def _wait(folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(_login(folder)).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "log").read_text()) from None
            time.sleep(0.05)
