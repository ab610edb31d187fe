"""A look into an upload: what it holds, why, and pictures as they would be stored."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from core.artifacts import Artifacts, StagePaths
from core.jobs.spec import DetectSpec
from core.recorder import NullRecorder
from core.stages import run_stage
from tests.data.bags import drive, ros2_mcap
from tests.data.makers import UPLOAD, npz_zip, per_frame, zarr_folder, zipped
from tests.data.test_validation import scene


def looked(
    root: Path, make: Callable[[Path], object], filename: str = "logs.zip", **spec: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The result of the job, and what it wrote."""
    folder = root / "uploads" / UPLOAD
    folder.mkdir(parents=True, exist_ok=True)
    make(folder / "data")
    data = (folder / "data").read_bytes()
    told = {"filename": filename, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "upload.json").write_text(json.dumps(told))
    out = root / f"out-{len(list(root.glob('out-*')))}"
    out.mkdir()
    asked = DetectSpec(upload=UPLOAD, **spec)
    result = run_stage(asked, StagePaths(Artifacts(root), root, out), NullRecorder())
    return result["detection"], json.loads((out / "detection.json").read_text())  # type: ignore[return-value]


def picture(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_an_npz_upload_is_described_with_pictures(tmp_path: Path) -> None:
    logs = [scene(i) | {"timestamp": np.arange(30) / 20} for i in range(4)]
    result, found = looked(tmp_path, lambda p: npz_zip(p, logs))
    assert result == {"format": "npz", "layout": "npz", "episodes": 4, "problem": ""}
    assert found["fields"] == {
        "image": "image",
        "action": "action",
        "state": "state",
        "time": "timestamp",
    }
    assert found["fps"] == 20.0
    assert [len(v) for v in found["thumbnails"].values()] == [3]
    shown = picture(found["thumbnails"]["image"][0])
    assert shown.shape == (32, 32, 3)
    assert np.abs(shown.astype(int) - logs[0]["image"][0]).mean() < 12


def test_pictures_are_shown_as_they_would_be_stored(tmp_path: Path) -> None:
    logs = [scene(i) for i in range(2)]
    options = {"flip": "vertical", "crop": (0, 0, 32, 16), "fit": "pad", "color_order": "bgr"}
    _, found = looked(tmp_path, lambda p: npz_zip(p, logs), **options)
    shown = picture(found["thumbnails"]["image"][0])
    assert shown.shape == (32, 32, 3)
    assert shown[:6].mean() < 8  # padded
    assert shown[16, -2, 0] > 90  # the blue sky, now red
    assert shown[16, -2, 2] < 40


def test_every_camera_is_shown(tmp_path: Path) -> None:
    store = zarr_folder(tmp_path / "a", [per_frame(i) for i in range(3)], image_key="camera_0")
    logs = [per_frame(i) for i in range(3)]
    for arrays in logs:
        arrays["camera_1"] = 255 - arrays["image"]
    store = zarr_folder(tmp_path / "b", logs, image_key="camera_0")
    _, found = looked(tmp_path, lambda p: zipped(store, p))
    assert list(found["thumbnails"]) == ["camera_0", "camera_1"]
    both = [picture(v[0]).astype(int) for v in found["thumbnails"].values()]
    assert np.abs(both[0] + both[1] - 255).mean() < 40


def test_logs_without_a_known_action_are_shown_with_what_is_missing(tmp_path: Path) -> None:
    logs = [{"image": scene(i)["image"], "wheels": scene(i)["action"]} for i in range(3)]
    result, found = looked(tmp_path, lambda p: npz_zip(p, logs))
    assert "no 'action' or 'actions' among the keys ['image', 'wheels']" in result["problem"]
    assert [c["key"] for c in found["columns"]] == ["wheels"]
    assert len(found["thumbnails"]["image"]) == 3
    result, found = looked(tmp_path, lambda p: npz_zip(p, logs), mapping={"action": "wheels"})
    assert result["problem"] == ""
    assert found["fields"]["action"] == "wheels"


def test_a_bag_is_described_by_topic(tmp_path: Path) -> None:
    lines = [*drive(0.0, 20), *drive(9.0, 20, seed=1)]
    _, found = looked(tmp_path, lambda p: ros2_mcap(p, lines), "a.mcap")
    assert (found["format"], found["episodes"], found["fps"]) == ("bag", 2, 10.0)
    assert len(found["thumbnails"]["/camera"]) == 2


def test_what_is_no_log_is_refused_or_described_as_unknown(tmp_path: Path) -> None:
    result, found = looked(tmp_path, lambda p: p.write_bytes(b"hello" * 99), "notes.txt")
    assert result["format"] is None
    assert "what each format needs is in docs/formats.md" in result["problem"]
    assert found["thumbnails"] == {}
    with pytest.raises(ValueError, match="is a gzip file"):
        looked(tmp_path, lambda p: p.write_bytes(b"\x1f\x8b" + bytes(99)), "logs.tar.gz")
