"""What one local installation has only once: its lock, its state file, its first token."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from core.jobs.environment import Environment
from core.jobs.store import Store

_LOCK_SECONDS = 40.0


class CannotStart(RuntimeError):
    """The service cannot start; the message says why and what to do."""


@contextlib.contextmanager
def hold(home: Path) -> Iterator[int]:
    """One service per home. Our programs hold the lock too: it is free when all of them ended."""
    descriptor = os.open(home / "run" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _refuse_if_running(home)
                if time.monotonic() > deadline:
                    raise CannotStart(f"programs of an earlier start still use {home}") from None
                time.sleep(0.2)
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_if_running(home: Path) -> None:
    try:
        state = json.loads(state_file(home).read_text())
        os.kill(state["pids"]["supervisor"], 0)
    except (OSError, ValueError, KeyError):
        return
    raise CannotStart(f"the service of {home} is running already: {state['api_url']}")


def state_file(home: Path) -> Path:
    return home / "run" / "service.json"


def tell(home: Path, state: dict[str, object]) -> None:
    temporary = state_file(home).with_suffix(".tmp")
    temporary.write_text(json.dumps(state, indent=1))
    temporary.replace(state_file(home))


def ensure_token(environment: Environment) -> tuple[str | None, bool]:
    """The token kept for the local command line; made when the installation has none at all."""
    path = environment.home / "token"
    store = Store.open(environment.database_url)
    try:
        kept = path.read_text().strip() if path.exists() else None
        if kept and store.check_token(kept) is not None:
            return kept, False
        if any(t.revoked_at is None for t in store.list_tokens()):
            return None, False
        token = store.create_token("first")
    finally:
        store.close()
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    return token, True
