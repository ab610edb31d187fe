"""What the `meta` folder of a LeRobot dataset says, in any of its versions.

The version is told by the files that are there; the number in `info.json` is not always honest.
Layout: https://huggingface.co/docs/lerobot/lerobot-dataset-v3.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from core.data.dataset import ActionKind
from core.data.readers.base import LogError
from core.data.readers.files import Files, in_words
from core.data.readers.parquet_file import Parquet

INFO = "meta/info.json"
_V3_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_V3_VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_V2_DATA = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
_V2_VIDEO = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
_FIELD = re.compile(r"\{(\w+)(?::0?(\d)d)?\}")
_JSON_BYTES = 64 << 20
_MOST_EPISODES = 1_000_000
_Index = Annotated[int, Field(ge=0, lt=1 << 40)]


class Feature(BaseModel):
    """One entry of `features`."""

    dtype: str
    shape: tuple[Annotated[int, Field(ge=0)], ...]
    names: Any = None
    info: dict[str, Any] | None = None

    @property
    def is_camera(self) -> bool:
        return self.dtype in ("video", "image")

    @property
    def is_depth(self) -> bool:
        said = self.info or {}
        return bool(said.get("is_depth_map") or said.get("video.is_depth_map"))

    @property
    def columns(self) -> tuple[str, ...]:
        """Name of each value of a row, if there is one for each."""
        found = tuple(_leaves(self.names))
        return found if self.shape and len(found) == self.shape[-1] else ()


class Info(BaseModel):
    """`meta/info.json`."""

    codebase_version: str | None = None
    fps: Annotated[float, Field(gt=0, le=1000)]
    features: Annotated[dict[str, Feature], Field(min_length=1)]
    data_path: str | None = None
    video_path: str | None = None
    chunks_size: Annotated[int, Field(gt=0)] = 1000
    robot_type: str | None = None


class Notes(BaseModel):
    """`meta/foglab.json`: what our own export adds."""

    action_kind: ActionKind | None = None
    units: dict[str, str] = {}


@dataclass(frozen=True)
class Clip:
    """The part of a video that shows an episode, from `start` seconds on."""

    file: str
    start: float


@dataclass(frozen=True)
class EpisodeMeta:
    """Where an episode lies."""

    index: int
    length: int
    file: str
    first_row: int
    """Of its parquet file."""
    tasks: tuple[str, ...] = ()
    clips: dict[str, Clip] = field(default_factory=dict)
    """By camera."""


def find_root(files: Files) -> str | None:
    """What stands before `meta/info.json`, or None; `LogError` for several datasets."""
    roots = [n.removesuffix(INFO) for n in files.names if n == INFO or n.endswith("/" + INFO)]
    if len(roots) > 1:
        raise LogError(f"{files.label} holds {len(roots)} LeRobot datasets: upload them one by one")
    return roots[0] if roots else None


def find_version(files: Files, root: str) -> str | None:
    """`v3.0`, `v2.1` or `v2.0` by the files in `meta`, or None."""
    if any(n.startswith(f"{root}meta/episodes/") for n in files.names):
        return "v3.0"
    names = frozenset(files.names)
    if f"{root}meta/episodes.jsonl" not in names:
        return None
    return "v2.1" if f"{root}meta/episodes_stats.jsonl" in names else "v2.0"


def read_info(files: Files, root: str) -> Info:
    """`info.json`; `LogError` if it is not valid."""
    try:
        return Info.model_validate_json(files.read(root + INFO, _JSON_BYTES))
    except ValidationError as error:
        raise LogError(f"{root}{INFO} is not valid ({in_words(error)}): write it again") from error


def read_notes(files: Files, root: str) -> Notes:
    """Empty if the dataset was written by somebody else."""
    name = f"{root}meta/foglab.json"
    if name not in files.names:
        return Notes()
    try:
        return Notes.model_validate_json(files.read(name, _JSON_BYTES))
    except ValidationError as error:
        raise LogError(f"{name} is not valid ({in_words(error)}): leave it out") from error


def read_episodes(files: Files, root: str, version: str, info: Info) -> list[EpisodeMeta]:
    """All episodes in their order; `EpisodeError` or `LogError` if they cannot be read."""
    cameras = [k for k, f in info.features.items() if f.dtype == "video"]
    read = _v3_episodes if version == "v3.0" else _v2_episodes
    found = sorted(read(files, root, info, cameras), key=lambda e: e.index)
    if not 0 < len(found) <= _MOST_EPISODES:
        raise LogError(f"{root}meta names {len(found)} episodes; 1 to {_MOST_EPISODES} are read")
    return found


class _V2Episode(BaseModel):
    episode_index: _Index
    length: _Index
    tasks: tuple[str, ...] = ()


_v2_episode = TypeAdapter(_V2Episode)


def _v2_episodes(
    files: Files, root: str, info: Info, cameras: Sequence[str]
) -> Iterator[EpisodeMeta]:
    name = f"{root}meta/episodes.jsonl"
    data, video = info.data_path or _V2_DATA, info.video_path or _V2_VIDEO
    for n, line in enumerate(files.read(name, _JSON_BYTES).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = _v2_episode.validate_json(line)
        except ValidationError as error:
            raise LogError(f"{name}, line {n} is not valid ({in_words(error)})") from error
        at: dict[str, int | str] = {
            "episode_index": row.episode_index,
            "episode_chunk": row.episode_index // info.chunks_size,
        }
        clips = {c: Clip(root + filled(video, at | {"video_key": c}), 0.0) for c in cameras}
        file = root + filled(data, at)
        yield EpisodeMeta(row.episode_index, row.length, file, 0, row.tasks, clips)


class _V3Columns(BaseModel):
    """Columns of `meta/episodes/*.parquet` that are needed."""

    episode_index: list[_Index]
    length: list[_Index]
    first: list[_Index] = Field(alias="dataset_from_index")
    chunk: list[_Index] = Field(alias="data/chunk_index")
    file: list[_Index] = Field(alias="data/file_index")
    tasks: list[tuple[str, ...]] | None = None


class _V3Clips(BaseModel):
    """Columns of one camera."""

    chunk: list[_Index] = Field(alias="chunk_index")
    file: list[_Index] = Field(alias="file_index")
    start: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(alias="from_timestamp")


def _v3_episodes(
    files: Files, root: str, info: Info, cameras: Sequence[str]
) -> Iterator[EpisodeMeta]:
    """The first row of a data file is that of its first episode."""
    parts = [list(_v3_part(files, name, root, info, cameras)) for name in _v3_parts(files, root)]
    episodes = [e for part in parts for e in part]
    firsts: dict[str, int] = {}
    for e in episodes:
        firsts[e.file] = min(e.first_row, firsts.get(e.file, e.first_row))
    for e in episodes:
        yield EpisodeMeta(e.index, e.length, e.file, e.first_row - firsts[e.file], e.tasks, e.clips)


def _v3_parts(files: Files, root: str) -> list[str]:
    start = f"{root}meta/episodes/"
    return [n for n in files.names if n.startswith(start) and n.endswith(".parquet")]


def _v3_part(
    files: Files, name: str, root: str, info: Info, cameras: Sequence[str]
) -> Iterator[EpisodeMeta]:
    wanted = [f.alias or n for n, f in _V3Columns.model_fields.items()]
    per_camera = [f.alias or n for n, f in _V3Clips.model_fields.items()]
    with closing(Parquet(files.open(name), name)) as parquet:
        keys = [f"videos/{c}/{k}" for c in cameras for k in per_camera]
        table = parquet.table([*wanted, *keys])
    try:
        rows = _V3Columns.model_validate(table)
        clips = {
            c: _V3Clips.model_validate({k: table.get(f"videos/{c}/{k}") for k in per_camera})
            for c in cameras
        }
    except ValidationError as error:
        raise LogError(f"{name} is not valid ({in_words(error)})") from error
    data, video = info.data_path or _V3_DATA, info.video_path or _V3_VIDEO
    for i, index in enumerate(rows.episode_index):
        yield EpisodeMeta(
            index,
            rows.length[i],
            root + filled(data, {"chunk_index": rows.chunk[i], "file_index": rows.file[i]}),
            rows.first[i],
            rows.tasks[i] if rows.tasks else (),
            {
                c: Clip(
                    root
                    + filled(
                        video,
                        {"video_key": c, "chunk_index": v.chunk[i], "file_index": v.file[i]},
                    ),
                    v.start[i],
                )
                for c, v in clips.items()
            },
        )


def filled(template: str, values: dict[str, int | str]) -> str:
    """A path template of `info.json` with its numbers. Its format codes are read here, because
    those of Python reach into objects and can ask for gigabytes."""

    def value(match: re.Match[str]) -> str:
        name, width = match.groups()
        if name not in values:
            raise LogError(f"{INFO}: the path {template[:120]!r} asks for {name!r}")
        return str(values[name]).zfill(int(width or 0))

    return _FIELD.sub(value, template)


def _leaves(names: Any) -> Iterator[str]:
    """Names in a list, or in the lists of a mapping such as `{"motors": [...]}`."""
    if isinstance(names, str):
        yield names[:100]
    elif isinstance(names, dict):
        for value in names.values():
            yield from _leaves(value)
    elif isinstance(names, list):
        for value in names:
            yield from _leaves(value)
