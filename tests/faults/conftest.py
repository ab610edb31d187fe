"""Faults are tried a few times in the default suite, and in full by `make test-faults`.

`FOGLAB_FAULTS=long` asks for the full counts, `FOGLAB_FAULTS_RESULTS` names the JSON file that
what was found goes to.
"""

import fcntl
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

LONG = os.environ.get("FOGLAB_FAULTS") == "long"
RESULTS = os.environ.get("FOGLAB_FAULTS_RESULTS")

Record = Callable[..., None]


def rounds(quick: int, long: int) -> int:
    """How often to try; `FOGLAB_FAULTS_SHARE` scales the full count down on a busy machine."""
    share = float(os.environ.get("FOGLAB_FAULTS_SHARE", "1"))
    return max(quick, round(long * share)) if LONG else quick


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Call it at the end of a test that held, with the promise and the counts."""
    began = time.monotonic()

    def write(promise: str, **figures: Any) -> None:
        if RESULTS is None:
            return
        entry = {
            "promise": promise,
            "tier": "long" if LONG else "quick",
            **figures,
            "seconds": round(time.monotonic() - began, 1),
            "load": round(os.getloadavg()[0], 1),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}",
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
        }
        name = request.node.nodeid.removeprefix("tests/faults/")
        _merge(Path(RESULTS), name, entry)

    return write


def _merge(path: Path, name: str, entry: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # tests run side by side
        file.seek(0)
        content = json.loads(file.read() or "{}")
        content[name] = entry
        file.seek(0)
        file.truncate()
        json.dump(content, file, indent=1, sort_keys=True)
        file.write("\n")
