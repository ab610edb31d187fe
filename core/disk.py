"""Room on the disk: refuse before it runs out, so that what shares the disk goes on working."""

import errno
import os
import shutil
from pathlib import Path

MARGIN_BYTES = 64 << 20
"""Left free for the database, logs and heartbeats."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFull(OSError):
    """There is no room for `needs` bytes (margin included)."""

    def __init__(self, needs: int) -> None:
        super().__init__(errno.ENOSPC, told(needs))
        self.needs = needs


def told(needs: int) -> str:
    """`disk full, needs 128 MB`."""
    return f"disk full, needs {max(1, round(needs / 1e6))} MB"


def is_full(error: BaseException) -> bool:
    """Whether an error, or what it came from, says that a disk or a quota has no room left."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    if type(error).__name__ == "SafetensorError" and "(os error 28)" in str(error):
        return True
    return error.__cause__ is not None and is_full(error.__cause__)


def free_bytes(path: Path) -> int:
    """What this user may still write to the disk of `path` or of its nearest existing parent."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def make_room(path: Path, size: int) -> None:
    """Raise `DiskFull` unless `size` bytes and the margin fit on the disk of `path`."""
    if free_bytes(path) < size + MARGIN_BYTES:
        raise DiskFull(size + MARGIN_BYTES)


def used_bytes(folder: Path) -> int:
    """Bytes of all files in a folder; files that vanish meanwhile count nothing."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_size  # noqa: PTH118
            except FileNotFoundError:
                continue
    return total
