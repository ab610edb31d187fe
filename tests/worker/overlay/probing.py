"""A stage that does what the decoder of a hostile upload would. FOGLAB_TEST_PROBE says what."""

import ctypes
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.artifacts import StagePaths
from core.recorder import Recorder


def run(spec: Any, paths: StagePaths, recorder: Recorder) -> dict[str, Any]:
    recorder.progress(1, 2, "about to misbehave")
    told = PROBES[os.environ["FOGLAB_TEST_PROBE"]](spec, paths)
    (paths.out / "detection.json").write_text("{}")
    return {"did": told}


def connect(spec: Any, paths: StagePaths) -> str:
    with socket.create_connection(("127.0.0.1", int(os.environ["PROBE_PORT"])), timeout=5):
        return "connected"


def read_passwd(spec: Any, paths: StagePaths) -> str:
    return Path("/etc/passwd").read_text()


def fork_bomb(spec: Any, paths: StagePaths) -> str:
    for _ in range(100):
        if os.fork() == 0:
            time.sleep(60)
    return "forked"


def allocate(spec: Any, paths: StagePaths) -> str:
    return str(len(bytearray(8 << 30)))


def loop(spec: Any, paths: StagePaths) -> str:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass


def fill_disk(spec: Any, paths: StagePaths) -> str:
    with (paths.out / "large").open("wb") as file:
        while True:
            file.write(bytes(1 << 20))


def fill_with_files(spec: Any, paths: StagePaths) -> str:
    for n in range(1_000_000):
        (paths.out / str(n)).write_bytes(bytes(1 << 20))
        time.sleep(0.01)
    return "filled"


def crash(spec: Any, paths: StagePaths) -> str:
    return str(ctypes.string_at(0))


def wait(spec: Any, paths: StagePaths) -> str:
    time.sleep(600)
    return "waited"


def recurse(spec: Any, paths: StagePaths) -> str:
    return recurse(spec, paths)


def everything(spec: Any, paths: StagePaths) -> list[str]:
    """What succeeded of all that must not; one name for each."""
    home = paths.artifacts.root
    other = home / "uploads" / "other"
    libc = ctypes.CDLL(None, use_errno=True)
    attempts: dict[str, Callable[[], object]] = {
        "another upload": lambda: (other / "data").read_bytes(),
        "the database": lambda: Path(os.environ["PROBE_DATABASE"]).read_bytes(),
        "list the home": lambda: list(home.iterdir()),
        "write to the upload": lambda: (paths.artifacts.upload(spec.upload) / "data").write_bytes(
            b""
        ),
        "write beside the run": lambda: (home / "canary").write_text("was here"),
        "a link out": lambda: (paths.out / "link").symlink_to("/etc/passwd"),
        "a hard link": lambda: (paths.out / "hard").hardlink_to(
            paths.artifacts.upload(spec.upload) / "data"
        ),
        "modes": lambda: other.chmod(0o777),
        "processes": lambda: list(Path("/proc").iterdir()),
        "a socket": lambda: socket.socket(socket.AF_UNIX),
        "a program": lambda: subprocess.run(["/bin/true"], check=True),
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "signal the worker": lambda: os.kill(os.getppid(), 0),
        "trace the worker": lambda: checked(libc.ptrace(16, os.getppid(), 0, 0)),
        "raise limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (9999, 9999)),
        "uncounted memory": lambda: mmap.mmap(-1, 1 << 20),
        "a file in memory": lambda: os.memfd_create("x"),
        "a namespace": lambda: checked(libc.unshare(0x10000000)),
        "io_uring": lambda: checked(libc.syscall(425, 1, ctypes.create_string_buffer(256))),
    }
    done = []
    for name, attempt in attempts.items():
        with suppress(OSError, ValueError):
            attempt()
            done.append(name)
    return done


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


PROBES: dict[str, Callable[[Any, StagePaths], Any]] = {
    f.__name__: f
    for f in (
        *(connect, read_passwd, fork_bomb, allocate, loop, fill_disk),
        *(fill_with_files, crash, wait, recurse, everything),
    )
}
sys.setrecursionlimit(10_000)
