"""How many bytes everything under the root takes, by kind and by what it belongs to."""

import os
import threading
import time
from pathlib import Path

from core.disk import used_bytes

KINDS = (
    "uploads",
    "datasets",
    "models",
    "runs",
    "rollouts",
    "evaluations",
    "exports",
    "detections",
)
"""Folders under the root whose entries are named by an id."""
PREVIEWS = Path("cache") / "previews"


class Sizes:
    """Walks the tree at most once in `seconds`: a look at a page must not load the disk."""

    def __init__(self, root: Path, seconds: float = 60.0) -> None:
        self._root = root
        self._seconds = seconds
        self._lock = threading.Lock()
        self._measured = -seconds
        self._found: dict[str, dict[str, int]] = {}

    def by_kind(self, ids: frozenset[str] | None = None) -> dict[str, int]:
        """Bytes by kind; of folders with these ids only, or of all."""
        with self._lock:
            if time.monotonic() - self._measured >= self._seconds:
                folders = {kind: self._root / kind for kind in KINDS}
                folders["cache"] = self._root / PREVIEWS
                self._found = {kind: _entries(folder) for kind, folder in folders.items()}
                self._measured = time.monotonic()
        return {
            kind: sum(n for i, n in entries.items() if ids is None or i in ids)
            for kind, entries in self._found.items()
        }


def _entries(folder: Path) -> dict[str, int]:
    try:
        with os.scandir(folder) as found:
            return {
                e.name: used_bytes(Path(e.path)) for e in found if e.is_dir(follow_symlinks=False)
            }
    except FileNotFoundError:
        return {}
