"""The canonical dataset: flat memory-mapped arrays, an episode index and `dataset.json`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from core.data.stats import ColumnStats
from core.jobs.rewards import GoalFrame

Split = Literal["train", "validation"]
ActionKind = Literal["absolute", "delta"]

META_FILE = "dataset.json"
EPISODES_FILE = "episodes.json"
FILES: dict[str, tuple[str, type[np.generic]]] = {
    "frames": ("frames.u8", np.uint8),
    "actions": ("actions.f32", np.float32),
    "state": ("state.f32", np.float32),
    "reward": ("reward.f32", np.float32),
    "terminated": ("terminated.u8", np.uint8),
    "success": ("success.u8", np.uint8),
}
"""Field to file name and stored dtype."""


class EpisodeInfo(BaseModel):
    """Rows `start .. start + length` of the flat arrays are one episode."""

    model_config = ConfigDict(frozen=True)

    start: int
    length: int
    split: Split
    source: str
    tags: tuple[str, ...] = ()
    """What people said of it."""


class DatasetMeta(BaseModel):
    """`dataset.json`. Statistics are those of the training split only."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    name: str
    version: int = 1
    fps: float
    action_kind: ActionKind
    task: str | None = None
    shapes: dict[str, tuple[int, ...]]
    """Shape of the whole array, by field; a field that the logs lack is absent."""
    dtype: dict[str, str]
    units: dict[str, str] = {}
    names: dict[str, tuple[str, ...]] = {}
    """What each column of `actions` and `state` is, if the logs say it."""
    num_episodes: int
    stats: dict[str, ColumnStats]
    """`actions` (without the last row of an episode) and, if recorded, `state` and `reward`."""
    frame_mean: tuple[float, float, float]
    """Per colour channel, 0..255."""
    frame_std: tuple[float, float, float]
    sources: dict[str, str] = {}
    """File name to SHA-256 of what was ingested."""
    spec: dict[str, JsonValue] = {}
    goals: tuple[GoalFrame, ...] = ()
    """Frames that show the goal, for a reward learnt from play."""

    @property
    def num_frames(self) -> int:
        return self.shapes["frames"][0]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.shapes["frames"][1], self.shapes["frames"][2]

    @property
    def action_dim(self) -> int:
        return self.shapes["actions"][1]

    @property
    def state_dim(self) -> int | None:
        return self.shapes["state"][1] if "state" in self.shapes else None

    @property
    def has_reward(self) -> bool:
        return "reward" in self.shapes


_episodes_adapter = TypeAdapter(tuple[EpisodeInfo, ...])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Row t of an episode: frame t, the action taken there, its reward, the label of frame t.

    The last row of an episode has no action, no reward and no end of task: zeros.
    """

    path: Path
    meta: DatasetMeta
    episodes: tuple[EpisodeInfo, ...]
    frames: np.ndarray
    """(N, H, W, 3) u8."""
    actions: np.ndarray
    """(N, A) f32."""
    state: np.ndarray | None
    """(N, S) f32."""
    reward: np.ndarray | None
    """(N,) f32."""
    terminated: np.ndarray | None
    """(N,) u8."""
    success: np.ndarray | None
    """(N,) u8."""

    @staticmethod
    def open(path: Path) -> "Dataset":
        """Map a dataset folder read-only; `ValueError` if it is not a whole dataset."""
        try:
            meta = DatasetMeta.model_validate_json((path / META_FILE).read_bytes())
            episodes = _episodes_adapter.validate_json((path / EPISODES_FILE).read_bytes())
        except FileNotFoundError as error:
            raise ValueError(f"no dataset in {path.name}: it lacks {error.filename}") from error
        except ValidationError as error:
            raise ValueError(f"{path.name} is not a dataset this version reads: {error}") from error
        frames, actions = _mapped(path, meta, "frames"), _mapped(path, meta, "actions")
        if frames is None or actions is None:
            raise ValueError(f"dataset {path.name} has no frames or no actions")
        optional = {f: _mapped(path, meta, f) for f in ("state", "reward", "terminated", "success")}
        return Dataset(path, meta, episodes, frames, actions, **optional)

    @property
    def train(self) -> tuple[EpisodeInfo, ...]:
        return self.of_split("train")

    @property
    def validation(self) -> tuple[EpisodeInfo, ...]:
        return self.of_split("validation")

    def of_split(self, split: Split) -> tuple[EpisodeInfo, ...]:
        """Episodes of one split, in order."""
        return tuple(e for e in self.episodes if e.split == split)

    def fields(self) -> dict[str, np.ndarray]:
        """The arrays that this dataset has, by field."""
        named = {f: getattr(self, f) for f in FILES}
        return {f: v for f, v in named.items() if v is not None}


def _mapped(path: Path, meta: DatasetMeta, field: str) -> np.ndarray | None:
    if field not in meta.shapes:
        return None
    name, dtype = FILES[field]
    shape = meta.shapes[field]
    wanted = int(np.prod(shape)) * np.dtype(dtype).itemsize
    found = (path / name).stat().st_size if (path / name).is_file() else None
    if found != wanted:
        raise ValueError(f"{name} of dataset {path.name} has {found} bytes instead of {wanted}")
    return np.memmap(path / name, dtype=dtype, mode="r", shape=shape)
