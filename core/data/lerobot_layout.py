"""What the files of a LeRobot v3.0 dataset are called and what is in them.

Layout: https://huggingface.co/docs/lerobot/lerobot-dataset-v3.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from core.data.video_writer import PIXEL_FORMAT

Pictures = Literal["h264", "av1", "png"]
"""How cameras are stored: as video, or as pictures without loss beside the numbers."""
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
CHUNK_FILES = 1000
_INDEX = ("frame_index", "episode_index", "index", "task_index")


@dataclass(frozen=True)
class Column:
    """A feature of numbers: `width` values per row."""

    dtype: Literal["float32", "bool"]
    width: int = 1
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """The features of one dataset."""

    fps: float
    cameras: dict[str, tuple[int, int]]
    """Height and width in pixels."""
    columns: dict[str, Column]
    pictures: Pictures

    @property
    def has_video(self) -> bool:
        return self.pictures != "png" and bool(self.cameras)

    def schema(self) -> pa.Schema:
        """Columns of the data files."""
        kinds = {"float32": pa.float32(), "bool": pa.bool_()}
        fields: dict[str, pa.DataType] = {}
        for key, column in self.columns.items():
            one = kinds[column.dtype]
            fields[key] = one if column.width == 1 else pa.list_(one, column.width)
        if self.pictures == "png":
            picture = pa.struct({"bytes": pa.binary(), "path": pa.string()})
            fields |= dict.fromkeys(self.cameras, picture)
        return pa.schema({**fields, "timestamp": pa.float32(), **dict.fromkeys(_INDEX, pa.int64())})

    def info(
        self, num_episodes: int, num_rows: int, num_tasks: int, megabytes: tuple[int, int]
    ) -> dict[str, Any]:
        """`meta/info.json`."""
        return {
            "codebase_version": "v3.0",
            "robot_type": None,
            "total_episodes": num_episodes,
            "total_frames": num_rows,
            "total_tasks": num_tasks,
            "chunks_size": CHUNK_FILES,
            "data_files_size_in_mb": megabytes[0],
            "video_files_size_in_mb": megabytes[1],
            "fps": self._whole_fps,
            "splits": {"train": f"0:{num_episodes}"},
            "data_path": DATA,
            "video_path": VIDEO if self.has_video else None,
            "features": self._features(),
        }

    @property
    def _whole_fps(self) -> float:
        """As an integer where it is one, which is all that LeRobot itself writes."""
        return int(self.fps) if float(self.fps).is_integer() else self.fps

    def _features(self) -> dict[str, Any]:
        return {
            **{k: self._camera(*size) for k, size in self.cameras.items()},
            **{
                k: _feature(c.dtype, c.width, list(c.names) or None)
                for k, c in self.columns.items()
            },
            "timestamp": _feature("float32"),
            **{k: _feature("int64") for k in _INDEX},
        }

    def _camera(self, height: int, width: int) -> dict[str, Any]:
        described = {"shape": [height, width, 3], "names": ["height", "width", "channels"]}
        if self.pictures == "png":
            return {"dtype": "image", **described}
        info = {
            "video.height": height,
            "video.width": width,
            "video.codec": self.pictures,
            "video.pix_fmt": PIXEL_FORMAT,
            "video.fps": self._whole_fps,
            "video.channels": 3,
            "is_depth_map": False,
            "has_audio": False,
        }
        return {"dtype": "video", **described, "info": info}


def file_path(template: str, file: int, **values: str) -> str:
    """The path of the n-th file of a kind."""
    return template.format(**place(file), **values)


def place(file: int) -> dict[str, int]:
    """Chunk and number in it of the n-th file."""
    return {"chunk_index": file // CHUNK_FILES, "file_index": file % CHUNK_FILES}


def tasks_table(tasks: Sequence[str]) -> pa.Table:
    """Number of each task; pandas takes the task itself as the index."""
    table = pa.table({"task_index": range(len(tasks)), "task": list(tasks)})
    columns = [
        {"name": "task_index", "pandas_type": "int64", "numpy_type": "int64"},
        {"name": "task", "pandas_type": "unicode", "numpy_type": "object"},
    ]
    described = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [{**c, "field_name": c["name"], "metadata": None} for c in columns],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(described)})


def _feature(dtype: str, width: int = 1, names: list[str] | None = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [width], "names": names}
