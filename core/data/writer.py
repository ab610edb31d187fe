"""Writes a dataset episode by episode; memory does not grow with the dataset's frames."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from pydantic import JsonValue, TypeAdapter

from core.data.dataset import (
    EPISODES_FILE,
    FILES,
    META_FILE,
    ActionKind,
    Dataset,
    DatasetMeta,
    EpisodeInfo,
    Split,
)
from core.data.early_sync import EarlySync
from core.data.episode import Episode, EpisodeError
from core.data.stats import Moments
from core.disk import make_room
from core.jobs.rewards import GoalFrame

_PER_STEP = ("actions", "reward", "terminated")
_STATS = ("actions", "state", "reward")
_episodes_adapter = TypeAdapter(list[EpisodeInfo])


class DatasetWriter:
    """Appends episodes to flat files; `finish` writes the split, the statistics and, last, the
    `dataset.json` that makes the folder a dataset."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, BinaryIO] = {}
        self._early = EarlySync()
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._lengths: list[int] = []
        self._sources: list[str] = []
        self._splits: list[Split | None] = []
        self._tags: list[tuple[str, ...]] = []
        self._moments: dict[str, list[Moments]] = {f: [] for f in ("frames", *_STATS)}

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._early.close()
        for file in self._files.values():
            file.close()

    def __len__(self) -> int:
        return len(self._lengths)

    def append(
        self, episode: Episode, split: Split | None = None, tags: tuple[str, ...] = ()
    ) -> None:
        """Add one episode; `EpisodeError` if its fields or widths differ from the first one's.

        A split is kept if all episodes have one and both splits occur.
        """
        values = {f: v for f in FILES if (v := getattr(episode, f)) is not None}
        if not self._lengths:
            self._shapes = {f: v.shape[1:] for f, v in values.items()}
        self._check_alike(values)
        make_room(self.path, sum(v.nbytes for v in values.values()))
        for field, value in values.items():
            self._write(field, value)
        for field in self._moments.keys() & values.keys():
            self._moments[field].append(_moments(field, values[field]))
        self._lengths.append(len(episode))
        self._sources.append(episode.source)
        self._splits.append(split)
        self._tags.append(tags)

    def finish(
        self,
        *,
        name: str,
        fps: float,
        action_kind: ActionKind,
        task: str | None = None,
        seed: int = 0,
        validation_fraction: float = 0.1,
        units: Mapping[str, str] | None = None,
        names: Mapping[str, tuple[str, ...]] | None = None,
        sources: Mapping[str, str] | None = None,
        spec: Mapping[str, JsonValue] | None = None,
        version: int = 1,
        goals: Sequence[GoalFrame] = (),
    ) -> Dataset:
        """Close the arrays, choose the split, write the index and `dataset.json`."""
        self._early.wait()
        for file in self._files.values():
            file.close()
        splits = self._kept_splits() or choose_split(len(self), validation_fraction, seed)
        train = [i for i, s in enumerate(splits) if s == "train"]
        merged = {
            f: Moments.merge([parts[i] for i in train])
            for f, parts in self._moments.items()
            if parts
        }
        frames = merged.pop("frames")
        rows = sum(self._lengths)
        meta = DatasetMeta(
            name=name,
            fps=fps,
            action_kind=action_kind,
            task=task,
            shapes={f: (rows, *s) for f, s in self._shapes.items()},
            dtype={f: np.dtype(FILES[f][1]).name for f in self._shapes},
            units=dict(units or {}),
            names={f: n for f, n in (names or {}).items() if self._shapes.get(f) == (len(n),)},
            num_episodes=len(self),
            stats={f: merged[f].stats() for f in _STATS if f in merged},
            frame_mean=_rgb(frames.mean),
            frame_std=_rgb(frames.std),
            sources=dict(sources or {}),
            spec=dict(spec or {}),
            version=version,
            goals=tuple(goals),
        )
        (self.path / EPISODES_FILE).write_bytes(
            _episodes_adapter.dump_json(self._infos(splits), indent=1)
        )
        (self.path / META_FILE).write_text(meta.model_dump_json(indent=1))
        return Dataset.open(self.path)

    def _kept_splits(self) -> list[Split]:
        """The splits that episodes came with; none if one is missing or all are the same."""
        kept = [s for s in self._splits if s is not None]
        return kept if len(kept) == len(self) and len(set(kept)) == 2 else []

    def _check_alike(self, values: dict[str, np.ndarray]) -> None:
        for field in sorted(self._shapes.keys() | values.keys()):
            first = self._shapes.get(field)
            this = values[field].shape[1:] if field in values else None
            if first != this:
                raise EpisodeError(
                    "unlike_first",
                    field,
                    f"has {_words(this)} where the first episode has {_words(first)}",
                    fix="upload logs of one robot and one recording set-up together",
                )

    def _write(self, field: str, value: np.ndarray) -> None:
        name, dtype = FILES[field]
        if field not in self._files:
            self._files[field] = (self.path / name).open("wb")
        rows = np.ascontiguousarray(value, dtype=dtype)
        self._files[field].write(rows.data)
        if field in _PER_STEP:
            self._files[field].write(bytes(rows[:1].nbytes))
        if field == "frames":
            self._early.wrote(self._files[field], rows.nbytes)

    def _infos(self, splits: list[Split]) -> list[EpisodeInfo]:
        starts = np.cumsum([0, *self._lengths[:-1]]).tolist()
        return [
            EpisodeInfo(start=a, length=n, split=s, source=source, tags=tags)
            for a, n, s, source, tags in zip(
                starts, self._lengths, splits, self._sources, self._tags, strict=True
            )
        ]


def choose_split(num_episodes: int, validation_fraction: float, seed: int) -> list[Split]:
    """Split of each episode: at least one held out, at least one to learn from."""
    if num_episodes < 2:
        raise ValueError(
            f"{num_episodes} usable episode(s): a dataset needs at least 2, "
            "one to learn from and one to hold out; upload more episodes"
        )
    held_out = min(max(1, round(validation_fraction * num_episodes)), num_episodes - 1)
    chosen = set(np.random.default_rng(seed).permutation(num_episodes)[:held_out].tolist())
    return ["validation" if i in chosen else "train" for i in range(num_episodes)]


def _moments(field: str, value: np.ndarray) -> Moments:
    if field == "frames":
        return Moments.of_frames(value)
    return Moments.of_columns(value.reshape(len(value), -1))


def _rgb(values: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = values.tolist()
    return red, green, blue


def _words(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "no values"
    return f"shape {shape} per frame" if shape else "one value per frame"
