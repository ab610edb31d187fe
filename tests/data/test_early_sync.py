"""Files that are synced while they are written."""

import errno
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
