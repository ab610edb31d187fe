"""LeRobot datasets v2.0, v2.1 and v3.0: parquet for numbers, mp4 or pictures for cameras."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from core.data.codes import Remark
from core.data.episode import EpisodeError
from core.data.readers.archive import printable
from core.data.readers.base import (
    FORMATS_PAGE,
    Aliases,
    Column,
    EpisodeRef,
    Field,
    Fields,
    LogError,
    LogMeta,
    Rows,
    RowSlice,
    find_keys,
    parts,
)
from core.data.readers.files import Files, damaged
from core.data.readers.joined import rows_of
from core.data.readers.lerobot_meta import (
    INFO,
    EpisodeMeta,
    Feature,
    Notes,
    find_root,
    find_version,
    read_episodes,
    read_info,
    read_notes,
)
from core.data.readers.parquet_file import Parquet
from core.data.readers.video_file import Video, VideoRows
from core.data.trim import Held

_AFTER = "next.success"
"""Its row t is about the frame after row t."""
_ALIASES: Aliases = {
    "action": ("action",),
    "state": ("observation.state", "observation.environment_state"),
    "reward": ("next.reward", "reward"),
    "terminated": ("next.done", "next.terminated"),
    "success": ("success", _AFTER),
    "time": ("timestamp",),
}
_SLACK = 0.5
"""Frames that a video may be off its row: the nearest one is meant, but not the next."""


def recognise(files: Files) -> str | None:
    """Why this is a LeRobot dataset, or None."""
    root = find_root(files)
    if root is None:
        if any(n.rsplit("/", 1)[0].endswith("meta_data") for n in files.names):
            raise LogError(
                f"{files.label} looks like a LeRobot dataset of version 1: convert it with the "
                f"converter of lerobot 0.1; see {FORMATS_PAGE}#lerobot"
            )
        return None
    version = find_version(files, root)
    if version is None:
        raise LogError(
            f"{files.label} has {root}meta/info.json but neither meta/episodes.jsonl nor "
            f"meta/episodes/*.parquet: upload the whole dataset; see {FORMATS_PAGE}#lerobot"
        )
    return f"meta/info.json and the episodes of {version}"


class LeRobotReader:
    """Reads one camera; the parquet file and the video that were read last stay open."""

    def __init__(self, path: Path, files: Files, mapping: Mapping[Field, str]) -> None:
        self._files = files
        self._names = frozenset(files.names)
        self._parquet: Parquet | None = None
        self._video: Video | None = None
        root = find_root(files)
        version = None if root is None else find_version(files, root)
        assert root is not None  # `recognise` found both
        assert version is not None
        self.format = f"lerobot {version}"
        try:
            self._info = read_info(files, root)
            self._episodes = read_episodes(files, root, version, self._info)
        except EpisodeError as error:
            raise LogError(f"{files.label}: {error}; see {FORMATS_PAGE}#lerobot") from error
        self.episodes = [
            EpisodeRef(n, printable(e.file), (e.first_row, e.first_row + e.length))
            for n, e in enumerate(self._episodes)
        ]
        self.columns = [_column(k, f) for k, f in self._info.features.items()]
        self.fields = self._choose(mapping)
        self._codec_told = False
        self.notes: list[str | Remark] = [*self._remarks(), *self._misnamed(version, root + INFO)]
        self.meta = self._meta(read_notes(files, root))

    @contextmanager
    def open(self, episode: EpisodeRef) -> Iterator[Fields]:
        meta = self._episodes[episode.number]
        parquet = self._parquet_of(meta.file)
        stop = self._checked_stop(parquet, meta)
        keys = self._info.features.keys()
        found: dict[Field, RowSlice] = {}
        for name, key in self.fields.items():
            feature = self._info.features.get(key)
            if feature is not None and feature.dtype == "video":
                rows: Rows = self._video_rows(parquet, meta, key)
                found[name] = RowSlice(rows, 0, rows.shape[0])
                continue
            rows = rows_of(key, keys, lambda k: self._rows(parquet, k))
            found[name] = RowSlice(rows, meta.first_row, stop)
            if name == "success" and key == _AFTER:
                found[name] = _of_frames(found[name])
        yield found

    def close(self) -> None:
        if self._parquet:
            self._parquet.close()
        if self._video:
            self._video.close()
        self._files.close()

    def _choose(self, mapping: Mapping[Field, str]) -> dict[Field, str]:
        """The first camera that is not a depth map, if the user does not choose another."""
        features = self._info.features
        cameras = tuple(k for k, f in features.items() if f.is_camera and not f.is_depth)
        return find_keys(features.keys(), mapping, {**_ALIASES, "image": cameras})

    def _meta(self, notes: Notes) -> LogMeta:
        tasks = {t for e in self._episodes for t in e.tasks}
        return LogMeta(
            fps=self._info.fps,
            action_kind=notes.action_kind,
            units=notes.units,
            task=next(iter(tasks))[:200] if len(tasks) == 1 else None,
            names={
                f: tuple(n for k in parts(self.fields[f]) for n in self._info.features[k].columns)
                for f in ("action", "state")
                if f in self.fields and all(k in self._info.features for k in parts(self.fields[f]))
            },
        )

    def _remarks(self) -> Iterator[str]:
        cameras = [c.key for c in self.columns if c.image]
        used = self.fields.get("image")
        if others := [k for k in cameras if k != used]:
            yield f"of {len(cameras)} cameras {used!r} is read; left out: {others}"
        tasks = Counter(t for e in self._episodes for t in e.tasks)
        if len(tasks) > 1:
            most, count = tasks.most_common(1)[0]
            yield (
                f"there are {len(tasks)} tasks, and which one an episode shows is left out; "
                f"{count} episodes show {printable(most)!r}"
            )

    def _misnamed(self, version: str, file: str) -> Iterator[Remark]:
        said = self._info.codebase_version
        if said is not None and said != version:
            yield Remark(
                "version",
                f"info.json says {printable(said)}, and the files are laid out as {version}",
                "nothing to do: the files are believed",
                file=printable(file),
            )

    def _parquet_of(self, name: str) -> Parquet:
        if self._parquet is None or self._parquet.name != name:
            if self._parquet:
                self._parquet.close()
                self._parquet = None
            self._parquet = Parquet(self._entry(name), name)
        return self._parquet

    def _video_of(self, name: str) -> Video:
        if self._video is None or self._video.name != name:
            if self._video:
                self._video.close()
                self._video = None
            self._video = Video(self._entry(name), name)
            if not self._codec_told:
                self._codec_told = True
                self.notes += self._video.remarks()
        return self._video

    def _entry(self, name: str) -> IO[bytes]:
        if name not in self._names:
            raise damaged(name, "it is not among the files")
        return self._files.open(name)

    def _checked_stop(self, parquet: Parquet, meta: EpisodeMeta) -> int:
        """The row after the last one of an episode, if the file has it there."""
        stop = meta.first_row + meta.length
        rows = parquet.starts[-1]
        if stop > rows or (meta.first_row == 0 and rows != stop and self._is_alone(meta)):
            raise EpisodeError(
                "length_mismatch",
                printable(meta.file),
                f"has {rows} rows where meta says {stop}",
                fix="write the dataset again, and finalize it",
            )
        if "episode_index" in parquet.columns:
            found = parquet.numbers("episode_index", ()).read(meta.first_row, stop)
            if wrong := sorted(set(found.tolist()) - {meta.index}):
                raise EpisodeError(
                    "wrong_ends",
                    "episode_index",
                    f"is {wrong[:3]} in rows that meta gives to episode {meta.index}",
                    fix="write meta/episodes again, it does not belong to these data files",
                )
        return stop

    def _is_alone(self, meta: EpisodeMeta) -> bool:
        """The file holds no other episode, as in version 2."""
        return not self.format.endswith("v3.0")

    def _rows(self, parquet: Parquet, key: str) -> Rows:
        feature = self._info.features[key]
        if feature.dtype == "image":
            return parquet.pictures(key)
        return parquet.numbers(key, () if feature.shape == (1,) else feature.shape)

    def _video_rows(self, parquet: Parquet, meta: EpisodeMeta, key: str) -> VideoRows:
        """The frame that is shown at each row's time."""
        clip = meta.clips[key]
        stop = meta.first_row + meta.length
        if "timestamp" in parquet.columns:
            seconds = parquet.numbers("timestamp", ()).read(meta.first_row, stop)
        else:
            seconds = np.arange(meta.length) / self._info.fps
        times = clip.start + seconds.astype(np.float64)
        return VideoRows(self._video_of(clip.file), times, (_SLACK + 1e-3) / self._info.fps)


def _of_frames(after: RowSlice) -> RowSlice:
    """Labels of frames from those of what came after each. The frame after the last row was not
    recorded; what is said of it goes to the last frame that was."""
    said = after.read()
    labels = np.concatenate([np.zeros(1, said.dtype), said[:-1]])
    labels[-1] = max(labels[-1], said[-1])
    return Held.slice(labels)


def _column(key: str, feature: Feature) -> Column:
    shape = feature.shape
    if feature.is_camera and len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3):
        shape = (*shape[1:], shape[0])
    return Column(
        key=key,
        shape=() if shape == (1,) else shape,
        dtype=feature.dtype,
        image=feature.is_camera,
        names=feature.columns,
    )
