"""Files that are synced while they are written."""

import ctypes
import errno
import mmap
import os
from pathlib import Path

import pytest

from core.data import early_sync
from core.data.early_sync import EarlySync


def test_bytes_are_synced_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(early_sync, "_EVERY_BYTES", 100)
    monkeypatch.setattr(early_sync, "sync", lambda path: synced.append(path.stat().st_size))
    sync = EarlySync()
    with (tmp_path / "a").open("wb") as file:
        for _ in range(3):
            file.write(bytes(60))
            sync.wrote(file, 60)
            sync.wait()
        sync.close()
    assert synced == [120]


def test_failure_of_the_disk_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(early_sync, "_EVERY_BYTES", 100)
    monkeypatch.setattr(early_sync, "sync", refuse)
    sync = EarlySync()
    with (tmp_path / "a").open("wb") as file:
        sync.wrote(file, 100)
        with pytest.raises(OSError, match="the disk is broken"):
            sync.wait()
        sync.close()


def test_what_is_on_the_disk_leaves_the_page_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early_sync, "_EVERY_BYTES", 1)
    count = 64 * mmap.PAGESIZE
    sync = EarlySync()
    with (tmp_path / "a").open("wb") as file:
        file.write(os.urandom(count))
        file.flush()
        assert _cached_pages(tmp_path / "a") == 64
        sync.wrote(file, count)
        sync.wait()
        sync.close()
    assert _cached_pages(tmp_path / "a") == 0


def _cached_pages(path: Path) -> int:
    """Pages of a file that the system holds in memory."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE) as mapped:
        held = (ctypes.c_ubyte * (len(mapped) // mmap.PAGESIZE))()
        first = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        assert libc.mincore(ctypes.c_void_p(first), ctypes.c_size_t(len(mapped)), held) == 0
        return sum(page & 1 for page in held)
