"""A process with everything imported that forks one child per request, to be killed by the test.

Starting an interpreter takes a second, forking takes none; so many kills fit in little time.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from worker.lifeline import die_with_parent


class Forker:
    """`start` returns the id of a child that does one deed; it is not waited for."""

    def __enter__(self) -> "Forker":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        return self

    def start(self, deed: str, *arguments: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\t".join([deed, *map(str, arguments)]) + "\n")
        return int(self._process.stdout.readline())

    def kill(self, child: int) -> None:
        """Kill -9; returns when it is gone. Nothing happens if it has ended."""
        self._ask("kill", child)

    def wait(self, child: int) -> int:
        """Exit code of a child, minus the signal's number."""
        return self._ask("wait", child)

    def _ask(self, what: str, child: int) -> int:
        return self.start(what, child)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()


def write(url: str, upload: str, log: str) -> None:
    """Submit jobs without end, each noted in `log` once it is acknowledged."""
    from core.jobs.spec import IngestSpec
    from core.jobs.store import Store

    store = Store.open(url)
    noted = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        os.write(noted, store.submit(IngestSpec(upload=upload, name="x"), "x").id.encode() + b"\n")


def sweep(url: str, home: str) -> None:
    """Clear up once."""
    from core.artifacts import Artifacts
    from core.jobs.leftovers import Leftovers
    from core.jobs.store import Store

    Leftovers(Store.open(url), Artifacts(Path(home))).sweep()


def migrate(url: str, statements: str) -> None:
    """Upgrade, killed before so many statements are done."""
    from sqlalchemy import Engine, event

    from core.jobs.migrate import upgrade

    left = int(statements)

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)
    upgrade(url)


DEEDS = {"write": write, "sweep": sweep, "migrate": migrate}


def serve() -> None:
    """One request a line; answers with the child's id or its exit code."""
    import core.jobs.leftovers
    import core.jobs.migrate  # noqa: F401

    me = os.getpid()
    for line in sys.stdin:
        deed, *arguments = line.rstrip("\n").split("\t")
        if deed in ("kill", "wait"):
            answer = _end(int(arguments[0]), deed == "kill")
        else:
            answer = os.fork()
            if answer == 0:
                try:
                    die_with_parent(me, signal.SIGKILL)
                    DEEDS[deed](*arguments)
                    os._exit(0)
                except BaseException as error:
                    os.write(2, f"{deed}: {error!r}\n".encode())
                    os._exit(1)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _end(child: int, kill: bool) -> int:
    if kill:
        os.kill(child, signal.SIGKILL)  # not waited for yet, so the id is still its own
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    serve()
