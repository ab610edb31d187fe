"""Twelve ways in which robot logs go wrong (see docs/formats.md), each found and placed.

Every one is told with its file, the episode and frame where there is one, and what to do.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from mcap.writer import CompressionType

from core.data.dataset import Dataset
from core.data.readers import LogError
from tests.data.bags import drive, ros2_mcap
from tests.data.hdf5_makers import dreamer_v4, libero, robomimic
from tests.data.lerobot_makers import CAMERAS, numbers_of, recorded, write_v2, write_v3
from tests.data.makers import Arrays, findings, ingest, log, npz_zip, per_frame, zarr_folder, zipped
from tests.data.test_validation import scene

Place = tuple[str, str, str, int | None, int | None]


def told(out: Path) -> set[Place]:
    """Severity, code, file, episode and frame of everything found; each says what to do."""
    found = findings(out, "error", "warning", "info")
    assert all(f["fix"] and f["docs"] == f"docs/formats.md#{f['code']}" for f in found)
    return {(f["severity"], f["code"], f["file"], f["episode"], f["frame"]) for f in found}


def upload(tmp_path: Path, logs: list[Arrays], **spec: Any) -> set[Place]:
    return told(ingest(tmp_path, lambda p: npz_zip(p, logs), **spec)[0])


def cut(path: Path, share: float = 0.6) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def test_1_files_that_were_never_closed(tmp_path: Path) -> None:
    """lerobot#3522: parquet without a footer; LIBERO#76: HDF5 cut short."""
    root = write_v2(tmp_path / "lerobot", recorded())
    cut(root / "data/chunk-000/episode_000002.parquet")
    out, _ = ingest(tmp_path, lambda p: zipped(root, p), image_size=32)
    (place,) = {p for p in told(out) if p[0] == "error"}
    assert place[2:4] == ("data/chunk-000/episode_000002.parquet", 2)
    folder = tmp_path / "hdf5"
    folder.mkdir()
    for n in range(3):
        with h5py.File(folder / f"ep_{n}.h5", "w") as file:
            for key, values in per_frame(n, 20).items():
                file[key] = values
    cut(folder / "ep_1.h5")
    out, _ = ingest(tmp_path, lambda p: zipped(folder, p))
    (place,) = {p for p in told(out) if p[0] == "error"}
    assert place[2:4] == ("ep_1.h5", 1)


def test_2_time_stamps_off_their_grid(tmp_path: Path) -> None:
    """lerobot#933: one frame out of place must not cost the dataset, and the user may allow it."""
    logs = [scene(i) | {"timestamp": np.arange(30) / 10} for i in range(3)]
    logs[1]["timestamp"][12] += 0.08
    where: Place = ("warning", "time_skew", "logs/ep_1.npz", 1, 12)
    assert where in upload(tmp_path, logs)
    assert where not in upload(tmp_path, logs, time_tolerance=0.1)
    logs[1]["timestamp"][20:] += 5
    assert ("warning", "time_gap", "logs/ep_1.npz", 1, 20) in upload(tmp_path, logs)


def test_3_a_version_that_is_not_the_one_said(tmp_path: Path) -> None:
    """lerobot#2805: the files tell the version, not its number in info.json."""
    root = write_v2(tmp_path / "a", recorded())
    info = root / "meta/info.json"
    info.write_text(info.read_text().replace('"v2.1"', '"2.3.0"'))
    out, result = ingest(tmp_path, lambda p: zipped(root, p), image_size=32)
    assert ("warning", "version", "meta/info.json", None, None) in told(out)
    assert (result["format"], result["episodes"]) == ("lerobot v2.1", 4)


def test_4_videos_that_browsers_do_not_play(tmp_path: Path) -> None:
    """rerun#12717: AV1 in Safari."""
    root = write_v3(tmp_path / "a", recorded(), codec="libsvtav1")
    out, _ = ingest(tmp_path, lambda p: zipped(root, p), image_size=32)
    first = f"videos/{CAMERAS[0]}/chunk-000/file-000.mp4"
    assert ("info", "video_codec", first, None, 0) in told(out)
    preview = (out / "previews" / "0.mp4").read_bytes()
    assert b"avc1" in preview
    assert b"av01" not in preview


def test_5_border_frames_of_packed_videos(tmp_path: Path) -> None:
    """Frames at the borders are exact; a video that ends early costs its episode alone."""
    root = write_v3(tmp_path / "a", recorded(), per_file=99)
    out, _ = ingest(tmp_path, lambda p: zipped(root, p), image_size=32)
    dataset = Dataset.open(out)
    for original, found in zip(recorded(), dataset.episodes, strict=True):
        border = dataset.frames[[found.start, found.start + found.length - 1]]
        last = original.first + original.length - 1
        assert numbers_of(border) == [original.first, last]
    short = write_v3(tmp_path / "b", recorded()[:3], per_file=99)
    rest = write_v3(tmp_path / "c", recorded(), per_file=99)
    for camera in CAMERAS:
        name = f"videos/{camera}/chunk-000/file-000.mp4"
        (rest / name).write_bytes((short / name).read_bytes())
    out, result = ingest(tmp_path, lambda p: zipped(rest, p), image_size=32)
    (place,) = {p for p in told(out) if p[0] == "error"}
    assert (place[1], place[3], place[4]) == ("time_skew", 3, 0)
    assert result["episodes"] == 3


def test_6_pictures_in_another_range_layout_or_colour(tmp_path: Path) -> None:
    """PushT keeps floats of 0..255, others put colours first, swap them or mirror (LIBERO)."""
    logs = [scene(i) for i in range(8)]
    logs[5]["image"] = logs[5]["image"][..., ::-1]
    logs[6]["image"] = logs[6]["image"][:, ::-1]
    logs[7]["image"] = (logs[7]["image"] / 255).astype(np.uint8)
    for arrays in logs:
        arrays["image"] = arrays["image"].transpose(0, 3, 1, 2)
    found = upload(tmp_path, logs)
    assert ("warning", "color_order", "logs/ep_5.npz", 5, 0) in found
    assert ("warning", "mirrored", "logs/ep_6.npz", 6, 0) in found
    assert ("error", "pixel_range", "logs/ep_7.npz", 7, None) in found
    assert ("info", "converted", "logs/ep_0.npz", 0, 0) in found
    path = libero(tmp_path / "libero.hdf5", [per_frame(i) for i in range(3)])
    out, _ = ingest(tmp_path, lambda p: p.write_bytes(path.read_bytes()), "libero.hdf5")
    assert ("warning", "mirrored", "libero.hdf5:data/demo_0", 0, 0) in told(out)


def test_7_actions_of_another_kind_or_unit_and_clipped_ones(tmp_path: Path) -> None:
    logs = [scene(i, 60) for i in range(3)]
    for arrays in logs:
        arrays["action"] = arrays["state"][1:].copy()
    logs[2]["action"] = logs[2]["action"] + np.random.default_rng(0).normal(size=(59, 2))
    logs[2]["action"][:, 0] = logs[2]["action"][:, 0].clip(None, np.median(logs[2]["action"][:, 0]))
    first = int(np.argmax(logs[2]["action"][:, 0]))
    found = upload(tmp_path, logs, action_kind="delta")
    assert ("warning", "action_kind", "logs.zip", None, None) in found
    assert ("info", "unknown_units", "logs/ep_0.npz", 0, None) in found
    assert ("warning", "clipped_actions", "logs/ep_2.npz", 2, first) in found
    settled = upload(tmp_path, logs, action_kind="absolute", units={"actions": "px"})
    assert not {"action_kind", "unknown_units"} & {p[1] for p in settled}


def test_8_padding_and_the_last_action(tmp_path: Path) -> None:
    """dreamer-v4 pads with zeros; RLDS and LeRobot leave the last action undefined."""
    logs = [scene(i, 40) for i in range(3)]
    logs[1]["image"][30:], logs[1]["action"][29:] = 0, 0
    assert ("warning", "padding", "logs/ep_1.npz", 1, 30) in upload(tmp_path, logs)
    shards = dreamer_v4(tmp_path / "shards", [per_frame(i, 5 + i) for i in range(4)])
    out, result = ingest(tmp_path, lambda p: zipped(shards, p))
    assert [e.length for e in Dataset.open(out).episodes] == [5, 6, 7, 8]
    ends = {p for p in told(out) if p[1] == "last_action"}
    assert [(p[0], p[3], p[4]) for p in ends] == [("info", 0, 4)]
    assert "padding" not in {p[1] for p in told(out)}
    assert result["warnings"] == 0


def test_9_demos_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = robomimic(tmp_path / "a.hdf5", [log(i) for i in range(12)])
    out, _ = ingest(tmp_path, lambda p: p.write_bytes(path.read_bytes()), "a.hdf5")
    assert ("info", "order", "a.hdf5:data/demo_10", 10, None) in told(out)
    assert [e.source.rsplit("_")[-1] for e in Dataset.open(out).episodes] == [
        str(n) for n in range(12)
    ]


def test_10_layouts_that_are_slow_to_read_at_random(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for n in range(3):
            group = file.create_group(f"data/demo_{n}")
            group["actions"] = log(n, 40)["action"]
            group.create_dataset(
                "obs/image", data=log(n, 40)["image"], chunks=(40, 16, 16, 3), compression="gzip"
            )
    out, _ = ingest(tmp_path, lambda p: p.write_bytes(path.read_bytes()), "a.h5")
    assert ("info", "slow_layout", "a.h5:data/demo_0", 0, 0) in told(out)
    assert (out / "frames.u8").stat().st_size == 3 * 40 * 16 * 16 * 3


def test_11_clocks_gaps_and_types_of_bags(tmp_path: Path) -> None:
    lines = [*drive(0.0, 20), *drive(20.0, 30, seed=1)]
    lines = [replace(m, stamp=m.seconds - 0.2) if m.topic == "/camera" else m for m in lines]
    lines = [m for m in lines if m.topic != "/camera" or not 20.65 < m.seconds < 21.75]
    path = ros2_mcap(tmp_path / "a.mcap", lines)
    out, _ = ingest(tmp_path, lambda p: p.write_bytes(path.read_bytes()), "a.mcap")
    found = told(out)
    assert ("warning", "clock_skew", "a.mcap", None) in {p[:4] for p in found}
    assert ("warning", "time_gap", "a.mcap", 1, 7) in found
    path = ros2_mcap(
        tmp_path / "b.mcap", lines, compression=CompressionType.NONE, enable_crcs=False
    )
    bare = path.read_bytes().replace(b"sensor_msgs/msg/JointState", b"other_msgs/msg/SomethingX_")
    bare = bare.replace(b"float64[] position", b"float65[] position")
    out, _ = ingest(tmp_path, lambda p: p.write_bytes(bare), "b.mcap")
    assert ("warning", "no_schema", "b.mcap", None, None) in told(out)


def test_12_stores_that_todays_libraries_do_not_open(tmp_path: Path) -> None:
    """zarr 3 cannot open what diffusion_policy needs, and writes what it cannot read."""
    store = zarr_folder(tmp_path / "v2", [per_frame(i) for i in range(3)])
    _, result = ingest(tmp_path, lambda p: zipped(store, p))
    assert result["episodes"] == 3
    zarr.open_group(str(tmp_path / "v3"), mode="w", zarr_format=3).create_array(
        "data/img", data=np.zeros((4, 8, 8, 3), np.uint8)
    )
    with pytest.raises(LogError, match=r"logs\.zip is a zarr version 3 store: write it with "):
        ingest(tmp_path, lambda p: zipped(tmp_path / "v3", p))
