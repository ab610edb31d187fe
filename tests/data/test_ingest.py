"""From uploaded bytes to a dataset, through the stage that a job runs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.artifacts import Artifacts, StagePaths, UnknownArtifact
from core.data.dataset import Dataset
from core.data.video import read_mp4
from core.jobs.spec import IngestSpec
from core.recorder import Cancelled, NullRecorder
from core.stages import run_stage
from tests.data.makers import (
    UPLOAD,
    Arrays,
    ListRecorder,
    episode,
    findings,
    ingest,
    log,
    npz_bytes,
    npz_zip,
    per_frame,
    zarr_folder,
    zipped,
)


def test_npz_logs_become_a_dataset(tmp_path: Path) -> None:
    meta = {"fps": 20, "task": "push_disc", "units": {"actions": "px"}}
    out, result = ingest(
        tmp_path,
        lambda p: npz_zip(p, [log(i, 4 + i) for i in range(5)], meta=meta),  # type: ignore[arg-type]
    )
    dataset = Dataset.open(out)
    assert [e.length for e in dataset.episodes] == [4, 5, 6, 7, 8]
    assert [e.source for e in dataset.episodes] == [f"logs/ep_{i}.npz" for i in range(5)]
    assert len(dataset.validation) == 1
    for i, info in enumerate(dataset.episodes):
        rows = slice(info.start, info.start + info.length)
        assert (dataset.frames[rows] == episode(i, 4 + i, 16).frames).all()
    assert dataset.meta.task == "push_disc"
    assert dataset.meta.units["actions"] == "px"
    assert dataset.meta.spec["name"] == "logs"
    assert list(dataset.meta.sources) == ["logs.zip"]
    assert result == {
        "episodes": 5,
        "frames": 30,
        "dropped": 0,
        "image_size": 16,
        "action_dim": 2,
        "state_dim": 3,
        "has_reward": True,
        "fps": 20.0,
        "action_kind": "delta",
        "format": "npz",
        "warnings": 0,
        "errors": 0,
    }
    assert findings(out) == []


def test_a_replay_buffer_becomes_a_dataset(tmp_path: Path) -> None:
    folder = zarr_folder(tmp_path / "a", [per_frame(i) for i in range(3)])
    out, result = ingest(
        tmp_path, lambda p: zipped(folder, p, "pusht.zarr/"), image_size=32, action_kind="absolute"
    )
    dataset = Dataset.open(out)
    assert (result["format"], result["episodes"], result["image_size"]) == ("zarr", 3, 32)
    assert result["action_kind"] == "absolute"
    assert not result["has_reward"]
    assert dataset.episodes[1].source == "pusht.zarr, rows 6 to 11"
    assert (dataset.actions[:5] == per_frame(0)["action"][:5]).all()
    assert not dataset.actions[5].any()


def test_the_same_bytes_and_spec_give_the_same_files(tmp_path: Path) -> None:
    data = npz_zip(tmp_path / "a.zip", [log(i) for i in range(4)]).read_bytes()
    outs = [ingest(tmp_path, lambda p: p.write_bytes(data))[0] for _ in range(2)]
    files = [{p.relative_to(out): p.read_bytes() for p in out.rglob("*.*")} for out in outs]
    assert files[0] == files[1]
    assert len(files[0]) == 12


def test_previews_show_the_episode_of_their_number(tmp_path: Path) -> None:
    logs = [log(i, length=4) for i in range(30)]
    for i, arrays in enumerate(logs):
        arrays["image"] = np.full_like(arrays["image"], 8 * i)
        arrays["image"][1:] += 4
    out, _ = ingest(tmp_path, lambda p: npz_zip(p, logs))
    previews = sorted((out / "previews").iterdir(), key=lambda p: int(p.stem))
    assert len(previews) == 12
    assert [previews[0].stem, previews[-1].stem] == ["0", "29"]
    for preview in previews:
        video = read_mp4(preview)
        assert video.shape == (4, 256, 256, 3)
        assert abs(video[0].mean() - 8 * int(preview.stem)) < 3


def test_progress_counts_episodes_and_cancel_stops_between_them(tmp_path: Path) -> None:
    recorder = ListRecorder()
    ingest(tmp_path, lambda p: npz_zip(p, [log(i) for i in range(3)]), recorder=recorder)
    assert recorder.done[:3] == [(i, 3, f"episode {i} of 3") for i in (1, 2, 3)]
    with pytest.raises(Cancelled):
        ingest(
            tmp_path,
            lambda p: npz_zip(p, [log(i) for i in range(3)]),
            recorder=ListRecorder(cancel_after=2),
        )


def test_broken_episodes_are_dropped_and_reported(tmp_path: Path) -> None:
    bad = log(1)
    bad["action"][3, 1] = np.nan
    out, result = ingest(
        tmp_path, lambda p: npz_zip(p, [log(0), bad, log(2), log(0)]), units={"actions": "m"}
    )
    assert (result["episodes"], result["dropped"], result["errors"]) == (2, 2, 2)
    nan, duplicate = findings(out)
    assert nan == {
        "severity": "error",
        "code": "not_finite",
        "file": "logs/ep_1.npz",
        "episode": 1,
        "frame": 3,
        "message": "actions: is nan at frame 3, column 1",
        "fix": "repair or cut out that frame and upload again",
        "docs": "docs/formats.md#not_finite",
    }
    assert duplicate["code"] == "duplicate"
    assert "episode 0" in duplicate["message"]
    summary = json.loads((out / "report.json").read_text())["summary"]
    assert summary["codes"] == {"duplicate": 1, "not_finite": 1}
    assert (summary["episodes_found"], summary["episodes_kept"]) == (4, 2)


def test_fail_names_the_first_broken_episode_and_keeps_nothing(tmp_path: Path) -> None:
    bad = log(1, action=np.zeros((3, 2), np.float32))
    with pytest.raises(
        ValueError,
        match=r"logs/ep_1\.npz, episode 1: actions: has 3 rows where 5 belong to 6 frames; .*'drop'",
    ):
        ingest(tmp_path, lambda p: npz_zip(p, [log(0), bad, log(2)]), bad_episodes="fail")
    assert not (tmp_path / "out-0" / "dataset.json").exists()


def test_logs_without_two_good_episodes_say_what_is_wrong(tmp_path: Path) -> None:
    logs: list[Arrays | bytes] = [log(0), b"junk", log(1, length=2, action=np.full((1, 2), np.inf))]
    with pytest.raises(ValueError, match=r"1 usable episode.*ep_1\.npz.*ep_2\.npz.*inf at frame 0"):
        ingest(tmp_path, lambda p: npz_zip(p, logs))
    with pytest.raises(ValueError, match=r"0 usable.*and 4 more"):
        ingest(tmp_path, lambda p: npz_zip(p, [b"junk"] * 7))
    with pytest.raises(ValueError, match="Upload more episodes"):
        ingest(tmp_path, lambda p: p.write_bytes(npz_bytes(log(0))), "ep.npz")


def test_an_odd_first_episode_does_not_set_the_layout(tmp_path: Path) -> None:
    odd = log(0, action=np.random.default_rng(0).normal(size=(5, 7)))
    out, result = ingest(tmp_path, lambda p: npz_zip(p, [odd, log(1), log(2)]))
    assert (result["episodes"], result["action_dim"]) == (2, 2)
    assert findings(out)[0]["message"] == (
        "action: has 7 value(s) per step where other episodes have 2 value(s) per step"
    )


def test_doubtful_things_are_warned_of(tmp_path: Path) -> None:
    frozen, idle, black = (log(i, length=20) for i in range(3))
    frozen["image"][4:16] = frozen["image"][4]
    idle["action"][:] = 0.5
    black["image"] = np.zeros_like(black["image"])
    wide = [arrays | {"image": arrays["image"][:, :8]} for arrays in (frozen, idle, black)]
    out, result = ingest(
        tmp_path,
        lambda p: npz_zip(p, [*wide, log(3)], meta={"action_kind": "absolute"}),
        image_size=16,
    )
    found = {(f["severity"], f["code"], f["episode"], f["frame"]) for f in findings(out)}
    assert found == {
        ("warning", "frozen", 0, 4),
        ("warning", "constant_actions", 1, None),
        ("error", "frozen", 2, 0),
        ("warning", "action_kind", None, None),
        ("warning", "squeezed", None, None),
    }
    assert result["warnings"] == 4
    assert all(f["message"] and f["fix"] for f in findings(out))


def test_a_column_that_never_changes_is_warned_of(tmp_path: Path) -> None:
    logs = [log(i) for i in range(3)]
    for arrays in logs:
        arrays["action"][:, 1] = 0
    out, _ = ingest(tmp_path, lambda p: npz_zip(p, logs))
    assert [(f["code"], f["message"]) for f in findings(out)] == [
        ("constant_column", "actions: columns [1] never change")
    ]


def test_an_upload_that_is_not_there_or_not_whole_is_refused(tmp_path: Path) -> None:
    ingest(tmp_path, lambda p: npz_zip(p, [log(0), log(1)]))
    folder = next((tmp_path / "uploads").iterdir())

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-1])

    cut(folder / "data")
    with pytest.raises(ValueError, match="upload it again"):
        ingest_again(tmp_path)
    (folder / "upload.json").unlink()
    with pytest.raises(UnknownArtifact, match="not finished"):
        ingest_again(tmp_path)


def ingest_again(root: Path) -> None:
    """The stage on the upload as it lies there."""
    spec = IngestSpec(upload=UPLOAD, name="again")
    run_stage(spec, StagePaths(Artifacts(root), root, root / "again"), NullRecorder())


def test_ingest_loads_without_torch() -> None:
    code = "import sys, core.stages.ingest; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
