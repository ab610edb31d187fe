"""`python -m tests.faults.small_disk <megabytes> <folder> <module> …`: run a module on a small disk.

The disk is a tmpfs on `folder`, in a mount namespace of its own: it goes with the process. Works
for root and, where user namespaces are allowed, for everybody.
"""

import os
import subprocess
import sys
from pathlib import Path


def run(megabytes: float, folder: Path, module: str, *arguments: str) -> str:
    """What the module printed; fails if it failed."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = f'mount -t tmpfs -o size={int(megabytes * 1024)}k tmpfs "$0" && exec "$@"'
    private = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "-r"]
    command = [*private, "sh", "-c", mount, str(folder), sys.executable, "-m", module]
    ended = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout


class Filler:
    """A file that leaves so much room on a disk."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "filler"

    def leave(self, room: int) -> None:
        """Bytes, rounded down to whole blocks."""
        self._path.unlink(missing_ok=True)
        held = os.statvfs(self._path.parent)
        with self._path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, held.f_bavail * held.f_frsize - room))

    def free(self) -> None:
        self._path.unlink(missing_ok=True)
