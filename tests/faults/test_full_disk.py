"""P12: a full disk costs no checkpoint; the job says what it waits for and goes on by itself."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.training.checkpoint import restore, save_checkpoint
from tests.faults import small_disk
from tests.faults.conftest import Record, rounds
from tests.faults.deeds import Part


def test_save_that_runs_out_of_room_leaves_the_checkpoint_before(
    tmp_path: Path, record: Record
) -> None:
    points = rounds(5, 40)
    folder = tmp_path / "disk"
    told = small_disk.run(2, folder, "tests.faults.full_disk_saves", str(folder), str(points))
    assert json.loads(told) == {"failed": points}
    record("P12", what="saves on a full disk", tried=points, held=points)


@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir"])
def test_save_that_the_disk_refuses_leaves_the_checkpoint_before(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    """EIO and ENOSPC at each such call of a save, one after the other."""
    save_checkpoint(tmp_path / "run", 1, {"part": Part(1)})
    real: Callable[..., Any] = getattr(os, call)
    tried = 0
    for code in (errno.EIO, errno.ENOSPC):
        for n in range(1, 20):
            left = [n]

            def refuse(
                *arguments: Any, code: int = code, left: list[int] = left, **named: Any
            ) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    raise OSError(code, os.strerror(code))
                return real(*arguments, **named)

            monkeypatch.setattr(os, call, refuse)
            with contextlib.suppress(OSError):
                save_checkpoint(tmp_path / "run", 2, {"part": Part(2)})
            monkeypatch.setattr(os, call, real)
            saved = tmp_path / "run" / "00000002"
            assert restore(tmp_path / "run", {"part": Part(0)}) == (2 if saved.exists() else 1)
            shutil.rmtree(saved, ignore_errors=True)
            if left[0] > 0:
                break  # there are no more such calls in a save
            tried += 1
    assert tried >= 2
    record("P12", what=f"saves with a refused {call}", tried=tried, held=tried)


def test_job_waits_for_room_and_goes_on_by_itself(tmp_path: Path, record: Record) -> None:
    """The installation's own disk fills up while a job runs; a worker does the rest."""
    home = tmp_path / "home"
    told = json.loads(small_disk.run(200, home, "tests.faults.full_disk_job", str(home)))
    assert told["waiting"] == ["queued", "queued"]
    assert told["attempts"] == 1
    assert told["state"] == "succeeded"
    assert told["needs"] > 64e6
    assert told["refused"] == 507
    record("P12", what="jobs that waited for room and went on", tried=2, held=2)
