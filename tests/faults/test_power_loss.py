"""P13: a power cut at any moment leaves the old or the new; damage is noticed."""

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.training.checkpoint import restore, save_checkpoint
from tests.faults import crash_states, deeds
from tests.faults.conftest import Record, rounds
from tests.faults.crash_states import Recording


def cut(recording: Recording, look: Callable[[Path, bool], object], scratch: Path) -> int:
    """Look at every state; how many there are."""
    seen = set()
    for done, finished, reached in crash_states.states(recording):
        if (reached, finished) in seen:
            continue
        seen.add((reached, finished))
        crash_states.write(recording, reached, scratch)
        try:
            look(scratch, finished)
        except BaseException as error:
            error.add_note(f"cut after {done} of {len(recording.steps)} steps: {sorted(reached)}")
            raise
        shutil.rmtree(scratch)
    return len(seen)


def recorded(deed: str, folder: Path, tmp_path: Path) -> Recording:
    command = ["-m", "tests.faults.deeds", deed, str(folder)]
    return crash_states.record(folder, command, tmp_path / "log")


def check(folder: Path, step: int) -> None:
    """The newest whole checkpoint is `step`, with exactly its content."""
    part = deeds.Part(0)
    assert restore(folder, {"part": part}) == step
    expected = deeds.Part(step).state_dict()
    assert torch.equal(part.loaded["weights"], expected["weights"])
    assert part.loaded["step"] == step


def test_checkpoint_is_old_or_new_after_any_power_cut(tmp_path: Path, record: Record) -> None:
    folder = tmp_path / "checkpoints"
    for step in (1, 2):
        (folder / "run").mkdir(parents=True, exist_ok=True)
        save_checkpoint(folder / "run", step, {"part": deeds.Part(step)})
    recording = recorded("checkpoint", folder, tmp_path)
    found: dict[int, int] = {}

    def look(root: Path, finished: bool) -> None:
        part = deeds.Part(0)
        step = restore(root / "run", {"part": part})
        assert step == 3 if finished else step in (2, 3)
        check(root / "run", step)
        found[step] = found.get(step, 0) + 1

    count = cut(recording, look, tmp_path / "state")
    assert set(found) == {2, 3}
    record("P13", what="crash states of a checkpoint", tried=count, held=sum(found.values()))


def test_artifact_is_whole_or_absent_after_any_power_cut(tmp_path: Path, record: Record) -> None:
    recording = recorded("artifact", attempt(tmp_path), tmp_path)
    found = {"whole": 0, "absent": 0}

    def look(root: Path, finished: bool) -> None:
        found[artifact_of(root, finished)] += 1

    count = cut(recording, look, tmp_path / "state")
    assert all(found.values())
    record("P13", what="crash states of an artifact", tried=count, held=sum(found.values()))


def test_recorder_catches_what_is_not_flushed(tmp_path: Path) -> None:
    recording = recorded("careless", attempt(tmp_path), tmp_path)
    with pytest.raises((AssertionError, OSError, ValueError)):
        cut(recording, artifact_of, tmp_path / "state")


def attempt(tmp_path: Path) -> Path:
    """A home with the folder of an attempt."""
    home = tmp_path / "home"
    (home / "runs" / "attempt-1" / "out").mkdir(parents=True)
    return home


def artifact_of(root: Path, finished: bool) -> str:
    """Whether the artifact is `whole` or `absent`; fails if it is neither."""
    place = root / "datasets" / "ds_0000000000000000" / "v1"
    if not place.exists():
        assert not finished
        return "absent"
    sums = json.loads((place / "manifest.json").read_text())["files"]
    assert set(sums) == {"frames.u8", "previews/0.mp4", "lineage.json"}
    for name, entry in sums.items():
        assert hashlib.sha256((place / name).read_bytes()).hexdigest() == entry["sha256"]
    return "whole"


def test_finished_upload_is_whole_after_any_power_cut(tmp_path: Path, record: Record) -> None:
    home = tmp_path / "home"
    home.mkdir()
    recording = recorded("upload", home, tmp_path)
    data = bytes(range(256)) * 10
    found = {"finished": 0, "not yet": 0}

    def look(root: Path, finished: bool) -> None:
        done = list(root.glob("uploads/up_*/upload.json"))
        assert done or not finished
        found["finished" if done else "not yet"] += 1
        for path in done:
            assert json.loads(path.read_text())["size"] == len(data)
            assert (path.parent / "data").read_bytes() == data

    count = cut(recording, look, tmp_path / "state")
    assert all(found.values())
    record("P13", what="crash states of an upload", tried=count, held=sum(found.values()))


def test_every_damage_to_a_checkpoint_is_noticed(tmp_path: Path, record: Record) -> None:
    """One flipped bit, or a lost end, anywhere in any of its files."""
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"part": deeds.Part(step)})
    chance = random.Random(0)
    files = sorted((tmp_path / "00000002").iterdir())
    count = rounds(40, 200)
    for n in range(count):
        path = files[n % len(files)]
        whole = path.read_bytes()
        harmed = bytearray(whole)
        place = chance.randrange(len(whole))
        if n % 4:
            harmed[place] ^= 1 << chance.randrange(8)
        else:
            del harmed[place:]
        path.write_bytes(harmed)
        check(tmp_path, 1)
        path.write_bytes(whole)
    check(tmp_path, 2)
    record(
        "P13", what="damaged checkpoints noticed, the one before loaded", tried=count, held=count
    )
