"""Every format at a glance: a sample by the format's own library, ingested, equal frame by frame.

Pictures spell their number, so that a frame taken for its neighbour is noticed after any codec, also
at the borders of episodes that share a video. `docs/formats.md` shows the same table.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.dataset import Dataset
from tests.data.bags import IMAGE, TWIST, Line, ros1_bag, ros2_bag, ros2_mcap
from tests.data.hdf5_makers import (
    aloha,
    dreamer_v4,
    libero,
    minari_set,
    robomimic,
    stable_worldmodel,
)
from tests.data.lerobot_makers import coded, numbers_of, recorded, write_v2, write_v3, write_video
from tests.data.makers import Arrays, findings, ingest, npz_zip, zarr_folder, zipped
from tests.data.test_beside import pictures, table

LENGTHS = (9, 14, 5, 11)
FIRST = np.cumsum([1, *LENGTHS[:-1]])
PAGE = Path(__file__).parents[2] / "docs" / "formats.md"


def steps(n: int) -> Arrays:
    """Episode n: T frames, T - 1 of what happens between them."""
    rng, length = np.random.default_rng(n), LENGTHS[n]
    return {
        "image": np.stack([coded(int(FIRST[n]) + i) for i in range(length)]),
        "action": rng.normal(size=(length - 1, 2)).astype(np.float32),
        "state": rng.normal(size=(length, 3)).astype(np.float32),
        "reward": rng.normal(size=length - 1).astype(np.float32),
        "done": np.arange(length - 1) == length - 2,
    }


def rows(n: int) -> Arrays:
    """Episode n as loggers write it that note an action with every frame."""
    one = steps(n)
    last = np.full((1, 2), 9, np.float32)
    return {k: one[k] for k in ("image", "state")} | {"action": np.append(one["action"], last, 0)}


STEPS, ROWS = ([make(n) for n in range(len(LENGTHS))] for make in (steps, rows))


def mp4_csv(folder: Path) -> Path:
    for n, one in enumerate(ROWS):
        write_video(folder / f"ep_{n}.mp4", one["image"], fps=10)
        table(folder / f"ep_{n}.csv", columns(one))
    return folder


def frame_folders(folder: Path) -> Path:
    for n, one in enumerate(ROWS):
        pictures(folder / f"ep_{n}", one["image"])
        table(folder / f"ep_{n}.csv", columns(one))
    return folder


def columns(one: Arrays) -> Arrays:
    return {f"action_{name}": one["action"][:, i] for i, name in enumerate("xy")}


def messages() -> list[Line]:
    """A picture and a command ten times a second, and silence between episodes."""
    lines = []
    for n, one in enumerate(ROWS):
        for i, (frame, action) in enumerate(zip(one["image"], one["action"], strict=True)):
            told = {"linear": float(action[0]), "angular": float(action[1])}
            lines.append(Line("/cmd_vel", TWIST, 30 * n + i / 10, told))
            lines.append(Line("/camera", IMAGE, 30 * n + i / 10, {"picture": frame}))
    return lines


Write = Callable[[Path], object]
TOPICS = {"mapping": {"action": "/cmd_vel.linear.x, /cmd_vel.angular.z"}}


def zip_of(make: Callable[[Path], Path]) -> Write:
    """Uploads a folder as a zip."""
    return lambda path: zipped(make(path.with_name("sample")), path)


def copy_of(make: Callable[[Path], Path], name: str) -> Write:
    """Uploads one file."""
    return lambda path: path.write_bytes(make(path.with_name(name)).read_bytes())


@dataclass(frozen=True)
class Sample:
    """A format, the library that writes it, and how far its pictures may move on average."""

    name: str
    library: str
    write: Write
    format: str
    """What the report must call it."""
    bound: float = 0
    filename: str = "logs.zip"
    spec: dict[str, Any] = field(default_factory=dict)
    actions: Sequence[np.ndarray] = tuple(one["action"] for one in STEPS)


ARMS = tuple(one.action[:-1] for one in recorded(LENGTHS))
LOSS = 4.0
"""Of 255: the mean difference that H.264 may make."""
SAMPLES: dict[int, Sequence[Sample]] = {
    1: [
        Sample(
            "LeRobot v2.0",
            "pyarrow, PyAV",
            zip_of(lambda p: write_v2(p, recorded(LENGTHS), minor=0)),
            "lerobot v2.0",
            LOSS,
            actions=ARMS,
        )
    ],
    2: [
        Sample(
            "LeRobot v2.1",
            "pyarrow, PyAV",
            zip_of(lambda p: write_v2(p, recorded(LENGTHS))),
            "lerobot v2.1",
            LOSS,
            actions=ARMS,
        )
    ],
    3: [
        Sample(
            "LeRobot v3.0",
            "pyarrow, PyAV",
            zip_of(lambda p: write_v3(p, recorded(LENGTHS), per_file=99)),
            "lerobot v3.0",
            LOSS,
            actions=ARMS,
        )
    ],
    4: [
        Sample(
            "robomimic",
            "h5py",
            copy_of(lambda p: robomimic(p, STEPS), "demo.hdf5"),
            "hdf5 (robomimic)",
            filename="demo.hdf5",
        ),
        Sample(
            "LIBERO",
            "h5py",
            copy_of(lambda p: libero(p, ROWS), "libero.hdf5"),
            "hdf5 (robomimic)",
            filename="libero.hdf5",
        ),
    ],
    5: [Sample("ALOHA, ACT", "h5py", zip_of(lambda p: aloha(p, ROWS)), "hdf5 (aloha)")],
    6: [
        Sample(
            "dreamer-v4 shards", "h5py", zip_of(lambda p: dreamer_v4(p, ROWS)), "hdf5 (dreamer-v4)"
        )
    ],
    7: [
        Sample(
            "stable-worldmodel",
            "h5py",
            copy_of(lambda p: stable_worldmodel(p, ROWS), "swm.h5"),
            "hdf5 (stable-worldmodel)",
            filename="swm.h5",
        )
    ],
    8: [
        Sample(
            "Minari",
            "minari",
            zip_of(lambda p: minari_set(p.parents[2], STEPS)),
            "hdf5 (minari)",
            LOSS,
        )
    ],
    9: [Sample("diffusion-policy zarr v2", "zarr", zip_of(lambda p: zarr_folder(p, ROWS)), "zarr")],
    10: [Sample("npz", "numpy", lambda p: npz_zip(p, STEPS), "npz")],
    11: [Sample("mp4 with CSV", "PyAV", zip_of(mp4_csv), "video", LOSS)],
    12: [Sample("folders of pictures", "OpenCV", zip_of(frame_folders), "frames")],
    13: [
        Sample(
            "MCAP",
            "mcap",
            copy_of(lambda p: ros2_mcap(p, messages()), "a.mcap"),
            "bag",
            filename="a.mcap",
            spec=TOPICS,
        )
    ],
    14: [
        Sample(
            "ROS 1 bag",
            "rosbags",
            copy_of(lambda p: ros1_bag(p, messages()), "a.bag"),
            "bag",
            filename="a.bag",
            spec=TOPICS,
        ),
        Sample(
            "ROS 2 bag", "rosbags", zip_of(lambda p: ros2_bag(p, messages())), "bag", spec=TOPICS
        ),
    ],
}
"""The fourteen formats by number; some are written in two ways."""
ALL = [sample for some in SAMPLES.values() for sample in some]


@pytest.mark.parametrize("sample", ALL, ids=lambda s: s.name)
def test_what_is_ingested_equals_what_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: Sample
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.setattr("core.stages.ingest.write_previews", lambda *_: None)
    out, result = ingest(tmp_path, sample.write, sample.filename, **sample.spec)
    dataset = Dataset.open(out)
    assert (result["format"], result["episodes"]) == (sample.format, len(LENGTHS))
    assert findings(out, "error") == []
    assert [e.length for e in dataset.episodes] == [*LENGTHS]
    for n, episode in enumerate(dataset.episodes):
        here = slice(episode.start, episode.start + episode.length)
        frames, actions = dataset.frames[here], dataset.actions[here][:-1]
        assert numbers_of(frames) == [FIRST[n] + i for i in range(LENGTHS[n])]
        lost = np.abs(frames.astype(int) - steps(n)["image"]).mean()
        assert lost <= sample.bound
        assert (actions == sample.actions[n]).all()


def test_there_are_fourteen_and_the_page_names_each_with_its_library() -> None:
    assert [*SAMPLES] == [*range(1, 15)]
    told = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(), re.M)
    assert told == [
        (str(n), s.name, s.library, f"≤ {s.bound:g}" if s.bound else "equal")
        for n, some in SAMPLES.items()
        for s in some
    ]
