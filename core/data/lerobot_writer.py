"""Writes LeRobot v3.0 datasets episode by episode; of each, only its statistics stay in memory."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.data.lerobot_layout import DATA, EPISODES, VIDEO, Layout, file_path, place, tasks_table
from core.data.lerobot_stats import FeatureStats
from core.data.video_writer import Codec, VideoWriter

_DATA_MB, _VIDEO_MB = 100, 200
_EPISODES_AT_ONCE = 200
_ROWS_AT_ONCE = 2048
_PICTURES_AT_ONCE = 256


class LeRobotWriter:
    """Appends episodes; `finish` writes what makes the folder a dataset."""

    def __init__(
        self, root: Path, layout: Layout, megabytes: tuple[int, int] = (_DATA_MB, _VIDEO_MB)
    ) -> None:
        """`megabytes` is after how much a data and a video file is followed by another."""
        self._root = root
        self._layout = layout
        self._schema = layout.schema()
        self._megabytes = megabytes
        self._tasks: dict[str, int] = {}
        self._stats: dict[str, list[FeatureStats]] = {}
        self._num_episodes = self._num_rows = 0
        self._data_file = 0
        self._data = _Table(root / file_path(DATA, 0), self._schema)
        self._waiting: list[pa.Table] = []
        self._videos: dict[str, VideoWriter] = {}
        self._video_files = dict.fromkeys(layout.cameras, 0)
        self._episodes: _Table | None = None
        self._described: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._data.close()
        if self._episodes:
            self._episodes.close()
        for video in self._videos.values():
            video.__exit__(kind, error, trace)

    def append(
        self, frames: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray], task: str
    ) -> None:
        """Add an episode: per camera (L, H, W, 3) u8, per column (L,) or (L, width)."""
        length = len(next(iter(frames.values())))
        if {*frames} != {*self._layout.cameras} or {*values} != {*self._layout.columns}:
            raise ValueError(f"an episode has {sorted([*frames, *values])}, not what was announced")
        if any(len(v) != length for v in (*frames.values(), *values.values())):
            raise ValueError(f"a feature of episode {self._num_episodes} has not {length} rows")
        numbers = self._numbered(length, values, task)
        stats = self._add_stats(numbers, frames)
        rows = self._rows(numbers, frames)
        self._make_room(len(rows))
        described: dict[str, Any] = {
            "episode_index": self._num_episodes,
            "tasks": [task],
            "length": length,
            **{f"data/{k}": v for k, v in place(self._data_file).items()},
            "dataset_from_index": self._num_rows,
            "dataset_to_index": self._num_rows + length,
            **{f"meta/episodes/{k}": v for k, v in place(0).items()},
        }
        if self._layout.has_video:
            for key, shown in frames.items():
                described |= self._film(key, shown)
        self._waiting.append(rows)
        self._describe(described | stats)
        self._num_episodes += 1
        self._num_rows += length

    def finish(self, notes: Mapping[str, Any] | None = None) -> None:
        """Close all files and write `meta`. `notes` become `meta/foglab.json`: what this service
        knows and the format has no place for."""
        if not self._num_episodes:
            raise ValueError("there are no episodes to export")
        self._flush_rows()
        self._data.close()
        for video in self._videos.values():
            video.close()
        self._flush_described()
        assert self._episodes is not None
        self._episodes.close()
        meta = self._root / "meta"
        stats = {k: FeatureStats.merge(v).written() for k, v in self._stats.items()}
        (meta / "stats.json").write_text(json.dumps(stats, indent=4))
        pq.write_table(tasks_table(list(self._tasks)), meta / "tasks.parquet")
        if notes:
            (meta / "foglab.json").write_text(json.dumps(notes, indent=4))
        counts = self._num_episodes, self._num_rows, len(self._tasks)
        info = self._layout.info(*counts, self._megabytes)
        (meta / "info.json").write_text(json.dumps(info, indent=4))

    def _add_stats(
        self, numbers: Mapping[str, np.ndarray], frames: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """Keep the statistics of an episode; as they stand in its row of `meta/episodes`."""
        stats = {k: FeatureStats.of_columns(v.reshape(len(v), -1)) for k, v in numbers.items()}
        stats |= {k: FeatureStats.of_frames(v) for k, v in frames.items()}
        for key, one in stats.items():
            self._stats.setdefault(key, []).append(one)
        return {f"stats/{k}/{n}": v for k, s in stats.items() for n, v in s.written().items()}

    def _make_room(self, rows: int) -> None:
        """Write out what waits before an episode of so many rows; open the next file if it is
        time. Pictures are written out sooner, because they wait in memory."""
        most = _ROWS_AT_ONCE if self._layout.pictures != "png" else _PICTURES_AT_ONCE
        if sum(map(len, self._waiting)) + rows > most:
            self._flush_rows()
        if self._data.path.stat().st_size >= self._megabytes[0] << 20:
            self._flush_rows()
            self._data.close()
            self._data_file += 1
            self._data = _Table(self._root / file_path(DATA, self._data_file), self._schema)

    def _numbered(
        self, length: int, values: Mapping[str, np.ndarray], task: str
    ) -> dict[str, np.ndarray]:
        """The columns, with time and place of every row."""
        rows = np.arange(length)
        return {
            **{k: np.asarray(v, self._layout.columns[k].dtype) for k, v in values.items()},
            "timestamp": (rows / self._layout.fps).astype(np.float32),
            "frame_index": rows,
            "episode_index": np.full(length, self._num_episodes),
            "index": self._num_rows + rows,
            "task_index": np.full(length, self._tasks.setdefault(task, len(self._tasks))),
        }

    def _rows(
        self, numbers: Mapping[str, np.ndarray], frames: Mapping[str, np.ndarray]
    ) -> pa.Table:
        arrays: dict[str, pa.Array] = {}
        for key, value in numbers.items():
            kind = self._schema.field(key).type
            if pa.types.is_fixed_size_list(kind):
                flat = pa.array(value.reshape(-1), kind.value_type)
                arrays[key] = pa.FixedSizeListArray.from_arrays(flat, type=kind)
            else:
                arrays[key] = pa.array(value.reshape(-1), kind)
        if self._layout.pictures == "png":
            for key, shown in frames.items():
                packed = pa.array([_png(f) for f in shown], pa.binary())
                paths = pa.nulls(len(shown), pa.string())
                arrays[key] = pa.StructArray.from_arrays([packed, paths], ["bytes", "path"])
        return pa.table([arrays[n] for n in self._schema.names], schema=self._schema)

    def _film(self, key: str, frames: np.ndarray) -> dict[str, Any]:
        """Append to the camera's video; where the episode lies in it."""
        video = self._videos.get(key)
        if video and video.bytes >= self._megabytes[1] << 20:
            video.close()
            self._video_files[key] += 1
            video = None
        file = self._video_files[key]
        if video is None:
            path = self._root / file_path(VIDEO, file, video_key=key)
            codec: Codec = "av1" if self._layout.pictures == "av1" else "h264"
            video = VideoWriter(path, self._layout.fps, *self._layout.cameras[key], codec)
            self._videos[key] = video
        start = video.frames
        video.write(frames)
        return {
            **{f"videos/{key}/{k}": v for k, v in place(file).items()},
            f"videos/{key}/from_timestamp": start / self._layout.fps,
            f"videos/{key}/to_timestamp": video.frames / self._layout.fps,
        }

    def _flush_rows(self) -> None:
        if self._waiting:
            self._data.write(pa.concat_tables(self._waiting).combine_chunks())
            self._waiting = []

    def _describe(self, episode: dict[str, Any]) -> None:
        self._described.append(episode)
        if len(self._described) >= _EPISODES_AT_ONCE:
            self._flush_described()

    def _flush_described(self) -> None:
        if not self._described:
            return
        schema = self._episodes.schema if self._episodes else None
        table = pa.Table.from_pylist(self._described, schema)
        self._episodes = self._episodes or _Table(self._root / EPISODES, table.schema)
        self._episodes.write(table)
        self._described = []


class _Table:
    """A parquet file that grows by row groups."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.schema = schema
        self._writer = pq.ParquetWriter(path, schema)

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows)

    def close(self) -> None:
        self._writer.close()


def _png(frame: np.ndarray) -> bytes:
    done, data = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    assert done
    return bytes(data)
