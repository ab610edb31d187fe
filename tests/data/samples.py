"""The fourteen formats: what a robot recorded, and how each format's own library writes it down.

Pictures spell their number, so that a frame taken for its neighbour is noticed after any codec, also
at the borders of episodes that share a video.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np

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
from tests.data.lerobot_makers import (
    Recorded,
    coded,
    numbers_of,
    recorded,
    write_v2,
    write_v3,
    write_video,
)
from tests.data.makers import Arrays, findings, ingest, npz_zip, zarr_folder, zipped
from tests.data.test_beside import pictures, table


@dataclass(frozen=True)
class Logs:
    """What was recorded: `steps[n]` has T frames and T - 1 of what happens between them."""

    steps: Sequence[Arrays] = field(repr=False)
    together: int = 3
    """Episodes, rows or pictures that a format keeps in one file, chunk or group."""

    @property
    def lengths(self) -> list[int]:
        return [len(one["image"]) for one in self.steps]

    @property
    def rows(self) -> list[Arrays]:
        """As loggers write it that note an action with every frame."""
        last = np.full((1, 2), 9, np.float32)
        kept = ("image", "state")
        return [
            {k: one[k] for k in kept} | {"action": np.append(one["action"], last, 0)}
            for one in self.steps
        ]

    @property
    def recorded(self) -> list[Recorded]:
        """For LeRobot's writers, which need the actions of an arm."""
        made = recorded(self.lengths)
        for one, step in zip(made, self.rows, strict=True):
            one.action = np.column_stack([step["action"], one.state[:, 0]])
        return made

    @property
    def messages(self) -> list[Line]:
        """A picture and a command ten times a second, and silence between episodes."""
        lines = []
        for n, one in enumerate(self.rows):
            for i, (frame, action) in enumerate(zip(one["image"], one["action"], strict=True)):
                told = {"linear": float(action[0]), "angular": float(action[1])}
                lines.append(Line("/cmd_vel", TWIST, 30 * n + i / 10, told))
                lines.append(Line("/camera", IMAGE, 30 * n + i / 10, {"picture": frame}))
        return lines


def logs(lengths: Sequence[int], actions: np.ndarray | None = None, together: int = 3) -> Logs:
    """Logs of episodes of so many frames; actions (frames - episodes, 2), random unless given."""
    steps, row, first = [], 0, 1
    for n, length in enumerate(lengths):
        rng, end = np.random.default_rng(n), row + length - 1
        noise = rng.normal(size=(length - 1, 2)).astype(np.float32)
        steps.append(
            {
                "image": np.stack([coded(first + i) for i in range(length)]),
                "action": noise if actions is None else actions[row:end],
                "state": rng.normal(size=(length, 3)).astype(np.float32),
                "reward": rng.normal(size=length - 1).astype(np.float32),
                "done": np.arange(length - 1) == length - 2,
            }
        )
        row, first = end, first + length
    return Logs(steps, together)


def mp4_csv(folder: Path, made: Logs) -> Path:
    for n, one in enumerate(made.rows):
        write_video(folder / f"ep_{n}.mp4", one["image"], fps=10, group=made.together)
        table(folder / f"ep_{n}.csv", columns(one))
    return folder


def frame_folders(folder: Path, made: Logs) -> Path:
    for n, one in enumerate(made.rows):
        pictures(folder / f"ep_{n}", one["image"])
        table(folder / f"ep_{n}.csv", columns(one))
    return folder


def columns(one: Arrays) -> Arrays:
    return {f"action_{name}": one["action"][:, i] for i, name in enumerate("xy")}


@dataclass(frozen=True)
class Sample:
    """A format, the library that writes it, and how far its pictures may move on average."""

    number: int
    name: str
    library: str
    write: Callable[[Path, Logs], Path]
    format: str
    """What the report must call it."""
    bound: float = 0
    filename: str = "logs.zip"
    spec: dict[str, Any] = field(default_factory=dict)

    def upload(self, path: Path, made: Logs) -> None:
        """Write a sample: the file as it is, a folder as a zip."""
        written = self.write(path.with_name(self.filename), made)
        if written.is_dir():
            zipped(written, path)
        else:
            written.rename(path)


TOPICS = {"mapping": {"action": "/cmd_vel.linear.x, /cmd_vel.angular.z"}}
LOSS = 4.0
"""Of 255: the mean difference that H.264 or JPEG may make."""
SAMPLES = [
    Sample(
        1,
        "LeRobot v2.0",
        "pyarrow, PyAV",
        lambda p, made: write_v2(p, made.recorded, minor=0),
        "lerobot v2.0",
        LOSS,
    ),
    Sample(
        2,
        "LeRobot v2.1",
        "pyarrow, PyAV",
        lambda p, made: write_v2(p, made.recorded),
        "lerobot v2.1",
        LOSS,
    ),
    Sample(
        3,
        "LeRobot v3.0",
        "pyarrow, PyAV",
        lambda p, made: write_v3(
            p,
            made.recorded,
            per_file=made.together,
            group=made.together,
            rows_per_group=made.together,
        ),
        "lerobot v3.0",
        LOSS,
    ),
    Sample(
        4,
        "robomimic",
        "h5py",
        lambda p, made: robomimic(p, made.steps),
        "hdf5 (robomimic)",
        filename="demo.hdf5",
    ),
    Sample(
        4,
        "LIBERO",
        "h5py",
        lambda p, made: libero(p, made.rows),
        "hdf5 (robomimic)",
        filename="libero.hdf5",
    ),
    Sample(
        5,
        "ALOHA, ACT",
        "h5py",
        lambda p, made: aloha(p, made.rows),
        "hdf5 (aloha)",
    ),
    Sample(
        6,
        "dreamer-v4 shards",
        "h5py",
        lambda p, made: dreamer_v4(p, made.rows, made.together),
        "hdf5 (dreamer-v4)",
    ),
    Sample(
        7,
        "stable-worldmodel",
        "h5py",
        lambda p, made: stable_worldmodel(p, made.rows),
        "hdf5 (stable-worldmodel)",
        filename="swm.h5",
    ),
    Sample(
        8,
        "Minari",
        "minari",
        lambda p, made: minari_set(p.parents[2], made.steps),
        "hdf5 (minari)",
        LOSS,
    ),
    Sample(
        9,
        "diffusion-policy zarr v2",
        "zarr",
        lambda p, made: zarr_folder(p, made.rows, numcodecs.Blosc(), made.together),
        "zarr",
    ),
    Sample(10, "npz", "numpy", lambda p, made: npz_zip(p, made.steps), "npz"),
    Sample(11, "mp4 with CSV", "PyAV", mp4_csv, "video", LOSS),
    Sample(12, "folders of pictures", "OpenCV", frame_folders, "frames"),
    Sample(
        13,
        "MCAP",
        "mcap",
        lambda p, made: ros2_mcap(p, made.messages),
        "bag",
        filename="a.mcap",
        spec=TOPICS,
    ),
    Sample(
        14,
        "ROS 1 bag",
        "rosbags",
        lambda p, made: ros1_bag(p, made.messages),
        "bag",
        filename="a.bag",
        spec=TOPICS,
    ),
    Sample(
        14,
        "ROS 2 bag",
        "rosbags",
        lambda p, made: ros2_bag(p, made.messages),
        "bag",
        spec=TOPICS,
    ),
]
"""The fourteen formats by number; some are written in two ways."""


def assert_equal_after_ingest(root: Path, sample: Sample, made: Logs) -> Path:
    """Upload and ingest a sample: every episode, frame and action, or within the bound. Returns the
    dataset's folder."""
    out, result = ingest(root, lambda p: sample.upload(p, made), sample.filename, **sample.spec)
    dataset = Dataset.open(out)
    assert (result["format"], result["episodes"]) == (sample.format, len(made.steps))
    assert findings(out, "error") == []
    assert [e.length for e in dataset.episodes] == made.lengths
    arm = [one.action[:-1] for one in made.recorded]
    for n, (episode, one) in enumerate(zip(dataset.episodes, made.steps, strict=True)):
        here = slice(episode.start, episode.start + episode.length)
        frames, actions = dataset.frames[here], dataset.actions[here][:-1]
        assert numbers_of(frames) == [*range(here.start + 1, here.stop + 1)]
        lost = np.abs(frames.astype(int) - one["image"]).mean()
        assert lost <= sample.bound
        assert (actions == (arm[n] if "LeRobot" in sample.name else one["action"])).all()
    return out
