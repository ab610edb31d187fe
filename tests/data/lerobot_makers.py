"""LeRobot datasets of every version, written with pyarrow and PyAV as the format's own text says:
https://huggingface.co/docs/lerobot/lerobot-dataset-v3 and the converter from v2.1 to v3.0."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.data.videos import encoded

SIDE = 32
CAMERAS = ("observation.images.front", "observation.images.wrist")
_BITS = 12
_BLOCK = 8


def coded(number: int, side: int = SIDE) -> np.ndarray:
    """A picture (side, side, 3) u8 whose blocks of 8 x 8 pixels spell a number: it survives
    lossy video, and tells every frame of a dataset from its neighbours."""
    bits = np.array([number >> i & 1 for i in range(side * side // _BLOCK**2)], np.uint8)
    blocks = bits.reshape(side // _BLOCK, side // _BLOCK) * np.uint8(200) + np.uint8(20)
    picture = np.kron(blocks, np.ones((_BLOCK, _BLOCK), np.uint8))
    return np.repeat(picture[..., None], 3, axis=2)


def numbers_of(frames: np.ndarray) -> list[int]:
    """The numbers that `coded` pictures spell, after any codec."""
    half = _BLOCK // 2
    blocks = frames[:, half::_BLOCK, half::_BLOCK].mean(3) > 120
    return [int(sum(1 << i for i in np.flatnonzero(b.reshape(-1)))) for b in blocks]


@dataclass
class Recorded:
    """One episode: `first` is the number that the first frame spells."""

    first: int
    length: int
    task: str = "push the block"
    action: np.ndarray = field(init=False)
    state: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.first)
        self.action = rng.normal(size=(self.length, 3)).astype(np.float32)
        self.state = rng.normal(size=(self.length, 2)).astype(np.float32)

    def frames(self, camera: int = 0) -> np.ndarray:
        """(T, H, W, 3) u8; another camera shows other numbers."""
        return np.stack([coded(self.first + i + 2048 * camera) for i in range(self.length)])


def recorded(
    lengths: Sequence[int] = (9, 14, 5, 11), task: str = "push the block"
) -> list[Recorded]:
    firsts = np.cumsum([1, *lengths[:-1]]).tolist()
    return [Recorded(a, n, task) for a, n in zip(firsts, lengths, strict=True)]


def write_video(
    path: Path, frames: np.ndarray, fps: float, codec: str = "libx264", group: int = 2
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"crf": "23", "g": str(group)}
    path.write_bytes(encoded(frames, fps, codec, options=options))
    return path


def features(fps: float, images: str = "video") -> dict[str, Any]:
    cameras = {
        c: {
            "dtype": images,
            "shape": [SIDE, SIDE, 3],
            "names": ["height", "width", "channels"],
            "info": {"video.fps": fps, "video.codec": "h264", "is_depth_map": False},
        }
        for c in CAMERAS
    }
    return cameras | {
        "observation.state": {"dtype": "float32", "shape": [2], "names": ["x", "y"]},
        "action": {"dtype": "float32", "shape": [3], "names": {"motors": ["a", "b", "grip"]}},
        "next.reward": {"dtype": "float32", "shape": [1], "names": None},
        "next.done": {"dtype": "bool", "shape": [1], "names": None},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        "frame_index": {"dtype": "int64", "shape": [1], "names": None},
        "episode_index": {"dtype": "int64", "shape": [1], "names": None},
        "index": {"dtype": "int64", "shape": [1], "names": None},
        "task_index": {"dtype": "int64", "shape": [1], "names": None},
    }


def table(
    episodes: Sequence[Recorded], first_episode: int, first_row: int, fps: float, images: bool
) -> pa.Table:
    """Rows of some episodes, as a data file holds them."""
    columns: dict[str, list[Any]] = {k: [] for k in features(fps) if k not in CAMERAS or images}
    for n, one in enumerate(episodes, start=first_episode):
        for i in range(one.length):
            columns["observation.state"].append(one.state[i].tolist())
            columns["action"].append(one.action[i].tolist())
            columns["next.reward"].append(float(i))
            columns["next.done"].append(i == one.length - 1)
            columns["timestamp"].append(i / fps)
            columns["frame_index"].append(i)
            columns["episode_index"].append(n)
            columns["index"].append(first_row + len(columns["index"]))
            columns["task_index"].append(0)
            for c, camera in enumerate(CAMERAS if images else ()):
                columns[camera].append({"bytes": png(one.frames(c)[i]), "path": None})
    types = {
        "observation.state": pa.list_(pa.float32()),
        "action": pa.list_(pa.float32()),
        "next.reward": pa.float32(),
        "timestamp": pa.float32(),
        **{c: pa.struct({"bytes": pa.binary(), "path": pa.string()}) for c in CAMERAS},
    }
    return pa.table({k: pa.array(v, types.get(k)) for k, v in columns.items()})


def png(frame: np.ndarray) -> bytes:
    done, data = cv2.imencode(".png", frame[..., ::-1])
    assert done
    return bytes(data)


def write_info(
    root: Path, version: str, episodes: Sequence[Recorded], fps: float, **changes: Any
) -> None:
    (root / "meta").mkdir(parents=True, exist_ok=True)
    info = {
        "codebase_version": version,
        "robot_type": "so100",
        "fps": fps,
        "total_episodes": len(episodes),
        "total_frames": sum(e.length for e in episodes),
        "chunks_size": 1000,
        "splits": {"train": f"0:{len(episodes)}"},
        **changes,
    }
    (root / "meta/info.json").write_text(json.dumps(info))


def write_v2(
    root: Path,
    episodes: Sequence[Recorded],
    fps: float = 10,
    minor: int = 1,
    images: bool = False,
    codec: str = "libx264",
) -> Path:
    """v2.0 or v2.1: a parquet file and, for each camera, an mp4 per episode."""
    described = features(fps, "image" if images else "video")
    write_info(root, f"v2.{minor}", episodes, fps, features=described)
    lines = [
        {"episode_index": n, "tasks": [e.task], "length": e.length} for n, e in enumerate(episodes)
    ]
    meta = root / "meta"
    (meta / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (meta / "tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": episodes[0].task}))
    if minor:
        (meta / "episodes_stats.jsonl").write_text("")
    else:
        (meta / "stats.json").write_text("{}")
    (root / "data/chunk-000").mkdir(parents=True)
    row = 0
    for n, one in enumerate(episodes):
        rows = table([one], n, row, fps, images)
        pq.write_table(rows, root / f"data/chunk-000/episode_{n:06d}.parquet")
        row += one.length
        for c, camera in enumerate(() if images else CAMERAS):
            path = root / f"videos/chunk-000/{camera}/episode_{n:06d}.mp4"
            write_video(path, one.frames(c), fps, codec)
    return root


def write_v3(
    root: Path,
    episodes: Sequence[Recorded],
    fps: float = 10,
    per_file: int = 3,
    images: bool = False,
    codec: str = "libx264",
    group: int = 2,
    rows_per_group: int = 7,
) -> Path:
    """v3.0: files of several episodes, whose place is told by `meta/episodes`."""
    write_info(root, "v3.0", episodes, fps, features=features(fps, "image" if images else "video"))
    (root / "data/chunk-000").mkdir(parents=True)
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    described: list[dict[str, Any]] = []
    row = 0
    for file, first in enumerate(range(0, len(episodes), per_file)):
        part = episodes[first : first + per_file]
        pq.write_table(
            table(part, first, row, fps, images),
            root / f"data/chunk-000/file-{file:03d}.parquet",
            row_group_size=rows_per_group,
        )
        for c, camera in enumerate(() if images else CAMERAS):
            frames = np.concatenate([e.frames(c) for e in part])
            path = root / f"videos/{camera}/chunk-000/file-{file:03d}.mp4"
            write_video(path, frames, fps, codec, group)
        start = row
        for n, one in enumerate(part, start=first):
            at: dict[str, Any] = {"episode_index": n, "tasks": [one.task], "length": one.length}
            at |= {"data/chunk_index": 0, "data/file_index": file}
            at |= {"dataset_from_index": row, "dataset_to_index": row + one.length}
            for camera in () if images else CAMERAS:
                at |= {
                    f"videos/{camera}/chunk_index": 0,
                    f"videos/{camera}/file_index": file,
                    f"videos/{camera}/from_timestamp": (row - start) / fps,
                    f"videos/{camera}/to_timestamp": (row - start + one.length) / fps,
                }
            described.append(at)
            row += one.length
    pq.write_table(
        pa.Table.from_pylist(described), root / "meta/episodes/chunk-000/file-000.parquet"
    )
    tasks = pa.table({"task_index": [0], "__index_level_0__": [episodes[0].task]})
    pq.write_table(tasks, root / "meta/tasks.parquet")
    return root


def parquet_bytes(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    return sink.getvalue()
