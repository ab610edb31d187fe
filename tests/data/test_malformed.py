"""Every kind of broken episode gives a finding with a known code, place and fix."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from core.data.intake import Intake
from core.data.readers import open_logs
from core.jobs.spec import IngestSpec
from tests.data.makers import (
    UPLOAD,
    findings,
    ingest,
    log,
    npz_bytes,
    npz_zip,
    per_frame,
    zarr_folder,
    zipped,
)


def without(key: str) -> bytes:
    arrays = log(1)
    del arrays[key]
    return npz_bytes(arrays)


def with_header(shape: str) -> bytes:
    """An npz whose image header promises another shape."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for key, array in log(1).items():
            raw = io.BytesIO()
            np.save(raw, array)
            data = raw.getvalue()
            if key == "image":
                old = b"(6, 16, 16, 3), }"
                assert old in data
                room = len(old) + data[data.find(old) + len(old) :].find(b"\n")
                data = data.replace(
                    data[data.find(old) :][:room], f"{shape}, }}".encode().ljust(room), 1
                )
            archive.writestr(f"{key}.npy", data)
    return buffer.getvalue()


def flipped(at: float) -> bytes:
    data = bytearray(npz_bytes(log(1)))
    data[int(at * len(data))] ^= 0xFF
    return bytes(data)


WHOLE = npz_bytes(log(1))
KINDS: dict[str, tuple[Any, str, str]] = {
    "empty file": (b"", "unreadable", "no directory at the end"),
    "one byte": (b"P", "unreadable", "no directory at the end"),
    "text": (b"hello\n" * 99, "unreadable", "no directory at the end"),
    "cut at 1 %": (WHOLE[: len(WHOLE) // 100], "unreadable", "cut short"),
    "cut at half": (WHOLE[: len(WHOLE) // 2], "unreadable", "cut short"),
    "cut at the end": (WHOLE[:-1], "unreadable", "cut short"),
    "flipped pixel": (flipped(0.5), "unreadable", "CRC"),
    "no image": (without("image"), "missing_key", "no 'image' or 'images' among the keys"),
    "no action": (without("action"), "missing_key", "no 'action' or 'actions' among the keys"),
    "no reward": (without("reward"), "unlike_others", "reward: has no values"),
    "object actions": (
        log(1, action=np.array([[1], [1, 2], 3, 4, 5], dtype=object)),
        "object_array",
        "object",
    ),
    "text actions": (log(1, action=np.full((5, 2), "left")), "object_array", "<U4"),
    "complex actions": (log(1, action=np.zeros((5, 2), complex)), "object_array", "complex"),
    "huge promise": (with_header("(10**15,)"), "unreadable", "image: cannot be read"),
    "promise of too much": (
        with_header("(999999999999, 3)"),
        "unreadable",
        "the header says 2999999999997 bytes, the file has 4608",
    ),
    "negative promise": (with_header("(-6, 16, 16, 3)"), "unreadable", "the header says -4608"),
    "NaN action": (log(1, action=np.full((5, 2), np.nan)), "not_finite", "nan at frame 0"),
    "infinite state": (log(1, state=np.full((6, 3), np.inf)), "not_finite", "state: is inf"),
    "NaN reward": (log(1, reward=np.full(5, np.nan)), "not_finite", "reward: is nan"),
    "NaN end": (log(1, done=np.full(5, np.nan)), "not_finite", "terminated: is nan"),
    "no frames": (log(1, image=np.zeros((0, 16, 16, 3), np.uint8)), "too_short", "is empty"),
    "one frame": (log(1, image=np.zeros((1, 16, 16, 3), np.uint8)), "too_short", "has 1 frame"),
    "scalar image": (log(1, image=np.uint8(7)), "too_short", "1 frame"),
    "too few actions": (log(1, action=np.ones((4, 2))), "length_mismatch", "has 4 rows where 5"),
    "too many actions": (log(1, action=np.ones((7, 2))), "length_mismatch", "has 7 rows where 5"),
    "too few states": (log(1, state=np.ones((2, 3))), "length_mismatch", "has 2 rows where 6"),
    "wide actions": (log(1, action=np.ones((5, 3))), "unlike_others", "has 3 value(s) per step"),
    "no columns": (log(1, action=np.ones((5, 0))), "unlike_others", "has 0 value(s)"),
    "reward per axis": (log(1, reward=np.ones((5, 2))), "wrong_shape", "(5, 2)"),
    "four channels": (log(1, image=np.zeros((6, 16, 16, 4), np.uint8)), "wrong_shape", "image"),
    "video of videos": (
        log(1, image=np.zeros((6, 2, 16, 16, 3), np.uint8)),
        "wrong_shape",
        "image",
    ),
    "no width": (log(1, image=np.zeros((6, 16, 0, 3), np.uint8)), "wrong_shape", "0 x 16"),
    "another size": (log(1, image=np.zeros((6, 8, 8, 3), np.uint8)), "unlike_first", "8 x 8"),
    "NaN image": (log(1, image=np.full((6, 16, 16, 3), np.nan)), "not_finite", "frame 0"),
    "wrong range": (log(1, image=np.full((6, 16, 16, 3), 4096)), "pixel_range", "4096"),
    "frozen": (log(1, image=np.ones((6, 16, 16, 3), np.uint8)), "frozen", "all 6 frames"),
    "copy": (log(0), "duplicate", "same frames and actions as episode 0"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_npz_episode_is_dropped_by_name(tmp_path: Path, kind: str) -> None:
    broken, code, words = KINDS[kind]
    out, result = ingest(tmp_path, lambda p: npz_zip(p, [log(0), broken, log(2), log(3)]))
    (finding,) = findings(out)
    assert (result["episodes"], result["dropped"]) == (3, 1)
    assert (finding["severity"], finding["code"], finding["episode"]) == ("error", code, 1)
    assert finding["file"] == "logs/ep_1.npz"
    assert words in finding["message"]
    assert finding["fix"]


def test_short_episodes_of_a_replay_buffer_are_dropped(tmp_path: Path) -> None:
    logs = [per_frame(i, length=n) for i, n in enumerate((5, 2, 6))]
    folder = zarr_folder(tmp_path / "a", logs)
    ends = np.array([5, 5, 6, 13])
    del zarr.open_group(str(folder), mode="a", zarr_format=2)["meta/episode_ends"]
    zarr.open_group(str(folder), mode="a", zarr_format=2).create_array(
        "meta/episode_ends", data=ends
    )
    out, result = ingest(tmp_path, lambda p: zipped(folder, p))
    assert result["episodes"] == 2
    assert [(f["episode"], f["code"], f["message"]) for f in findings(out)] == [
        (1, "too_short", "image: is empty"),
        (2, "too_short", "image: has 1 frame, and a transition needs 2"),
    ]


def test_random_damage_never_raises_anything_but_value_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    npz_zip(tmp_path / "npz.zip", [log(i, 3, 8) for i in range(2)])
    folder = zarr_folder(tmp_path / "a", [per_frame(i, 3, 8) for i in range(2)])
    zipped(folder, tmp_path / "zarr.zip")
    refused = 0
    for name in ("npz.zip", "zarr.zip"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(150):
            data = bytearray(whole)
            for at in rng.integers(len(data), size=rng.integers(1, 6)):
                data[at] = rng.integers(256)
            cut = len(data) if rng.random() < 0.7 else int(rng.integers(len(data)))
            (tmp_path / "data").write_bytes(data[:cut])
            try:
                reader = open_logs(tmp_path / "data")
            except ValueError:
                refused += 1
                continue
            intake = Intake(reader, "data", IngestSpec(upload=UPLOAD, name="logs"))
            refused += any(one is None for one in intake.episodes())
            reader.close()
    assert refused > 200


def test_clock_that_counts_something_else_is_refused(tmp_path: Path) -> None:
    stamps = 1e-6 * np.arange(6)
    with pytest.raises(ValueError, match="1e\\+06 times a second, and at most 1000 are read"):
        ingest(tmp_path, lambda p: npz_zip(p, [log(n, timestamp=stamps) for n in range(3)]))
