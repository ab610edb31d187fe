"""RLDS datasets as TFDS writes them: one record per episode, read without TensorFlow."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np

from core.data.codes import Remark
from core.data.episode import EpisodeError
from core.data.pictures import kind_of, size_of
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
    column,
    find_keys,
    missing_key,
)
from core.data.readers.files import Files, damaged
from core.data.readers.joined import rows_of
from core.data.readers.packed import PackedPictures
from core.data.readers.tf_record import Place, Value, places, read_example
from core.data.trim import Held

_SHARD = re.compile(r"\.tfrecord(-\d{5}-of-\d{5})?$")
_STEPS = "steps/"
_COUNTED = ("is_first", "is_last", "is_terminal", "reward", "discount")
"""One value per step, whatever else a dataset holds."""
_ALIASES: Aliases = {
    "image": tuple(f"observation/{k}" for k in ("image", "image_primary", "rgb", "pixels")),
    "action": ("action",),
    "state": ("observation/state", "observation/proprio", "observation/robot_state"),
    "reward": ("reward",),
    "terminated": ("is_terminal",),
    "success": ("success", "is_success"),
}
_META_BYTES = 16 << 20
_SURVEYED = 8
Shapes = Mapping[str, tuple[int, ...]]


def recognise(files: Files) -> str | None:
    """Why this is an RLDS dataset, or None."""
    if found := sum(bool(_SHARD.search(n)) for n in files.names):
        return f"{found} tfrecord shard{'s' * (found > 1)}"
    if any(".array_record" in n for n in files.names):
        raise LogError(
            f"{files.label} holds array_record shards: write them with file_format='tfrecord'; "
            f"see {FORMATS_PAGE}#rlds"
        )
    return None


class RldsReader:
    """The shard that was read last stays open; an episode is in memory while it is read."""

    format = "rlds"

    def __init__(self, path: Path, files: Files, mapping: Mapping[Field, str]) -> None:
        self._files = files
        self._mapping = mapping
        self._open: tuple[str, IO[bytes]] | None = None
        self._shapes = _shapes(files)
        self._places: list[tuple[str, Place]] = []
        self.notes: list[str | Remark] = []
        self.columns: list[Column] = []
        self.fields: dict[Field, str] = {}
        task: str | None = None
        try:
            self._find_episodes()
            self.episodes = [
                EpisodeRef(n, f"{printable(name)}, record {k}")
                for n, (name, k) in enumerate(self._numbered())
            ]
            task = self._survey()
        except BaseException:
            self._close_shard()
            raise
        self.meta = LogMeta(task=task)

    @contextmanager
    def open(self, episode: EpisodeRef) -> Iterator[Fields]:
        steps = _Steps(self._example(episode.number), episode.file, self._shapes)
        keys = steps.keys
        if error := missing_key(self.fields, keys, self._mapping):
            raise error
        found: dict[Field, RowSlice] = {}
        for field, key in self.fields.items():
            rows = rows_of(key, keys, steps.rows)
            if field == "terminated" and key == "is_terminal":
                # Of the frame of its row; ours is of the step that leads there.
                rows = Held(rows.read(1, rows.shape[0]))
            found[field] = RowSlice(rows, 0, rows.shape[0])
        yield found

    def close(self) -> None:
        self._close_shard()
        self._files.close()

    def _find_episodes(self) -> None:
        problems: list[Remark] = []
        for name in (n for n in self._files.names if _SHARD.search(n)):
            label = printable(name)
            try:
                found, error = places(self._shard(name), label)
            except EpisodeError as damage:
                found, error = [], damage
            self._places += [(name, place) for place in found]
            if error:
                problems.append(Remark(error.code, str(error), error.fix, "error", file=label))
        if not self._places:
            why = f": {problems[0].message}" if problems else ""
            raise LogError(f"{self._files.label} holds no records{why}; see {FORMATS_PAGE}#rlds")
        self.notes += problems

    def _numbered(self) -> Iterator[tuple[str, int]]:
        counts: dict[str, int] = {}
        for name, _ in self._places:
            counts[name] = counts.get(name, -1) + 1
            yield name, counts[name]

    def _survey(self) -> str | None:
        """Columns and keys of the first episode that has all that is needed; returns its task."""
        task: str | None = None
        for episode in self.episodes[:_SURVEYED]:
            try:
                steps = _Steps(self._example(episode.number), episode.file, self._shapes)
                columns = [_described(key, steps.rows(key)) for key in steps.keys]
            except EpisodeError:
                continue
            cameras = tuple(c.key for c in columns if c.image)
            named = tuple(k for k in _ALIASES["image"] if k in cameras)
            aliases = {**_ALIASES, "image": named + cameras}
            fields = find_keys(steps.keys, self._mapping, aliases)
            task = task or steps.task
            if not self.columns or not missing_key(fields, steps.keys, self._mapping):
                self.columns, self.fields = columns, fields
            if not missing_key(fields, steps.keys, self._mapping):
                break
        cameras = tuple(c.key for c in self.columns if c.image)
        used = self.fields.get("image")
        if others := [k for k in cameras if k != used]:
            self.notes.append(f"of {len(cameras)} cameras {used!r} is read; others: {others}")
        return task

    def _example(self, number: int) -> dict[str, Value]:
        name, place = self._places[number]
        return read_example(self._shard(name), place, f"{printable(name)}, episode {number}")

    def _shard(self, name: str) -> IO[bytes]:
        if self._open is None or self._open[0] != name:
            self._close_shard()
            self._open = (name, self._files.open(name))
        return self._open[1]

    def _close_shard(self) -> None:
        if self._open:
            self._open[1].close()
            self._open = None


class _Steps:
    """The features of one episode that have a row per step."""

    def __init__(self, example: Mapping[str, Value], name: str, shapes: Shapes) -> None:
        values = {k.removeprefix(_STEPS): v for k, v in example.items() if k.startswith(_STEPS)}
        counted = [len(values[k]) for k in _COUNTED if k in values]
        if not counted:
            raise EpisodeError(
                "missing_key",
                "steps",
                f"has none of {', '.join(_COUNTED)}, by which steps are counted",
                fix="write the dataset with RLDS's own features",
            )
        self._length = counted[0]
        self._name = name
        self._shapes = shapes
        self._values = values
        self.keys = tuple(sorted(k for k, v in values.items() if self._has_rows(v)))

    @property
    def task(self) -> str | None:
        """What the robot was told, if it was told one thing."""
        for key, value in self._values.items():
            if key.endswith("language_instruction") and isinstance(value, list):
                return value[0].decode("utf-8", "replace")[:200] if len(set(value)) == 1 else None
        return None

    def rows(self, key: str) -> Rows:
        """The rows of a key; packed pictures are unpacked as they are read."""
        value = self._values[key]
        place = f"{self._name}:{key}"
        if isinstance(value, list):
            try:
                size = size_of(value[0])
            except ValueError as error:
                raise damaged(f"{place}, row 0", error) from error
            return PackedPictures(_Packed(value), place, kind_of(value[0]) or "", size)
        shape = self._shapes.get(key, ())
        if int(np.prod(shape, dtype=object)) * self._length != len(value):
            shape = () if len(value) == self._length else (len(value) // self._length,)
        wide = value.astype(np.uint8) if _are_bytes(value, shape) else value
        return Held(wide.reshape(self._length, *shape))

    def _has_rows(self, value: Value) -> bool:
        if not self._length or len(value) % self._length or not len(value):
            return False
        if isinstance(value, list):
            return len(value) == self._length and kind_of(value[0]) is not None
        return True


class _Packed:
    """Byte strings as rows."""

    dtype = np.dtype(object)

    def __init__(self, values: list[bytes]) -> None:
        self._values = values
        self.shape = (len(values),)

    def read(self, start: int, stop: int) -> np.ndarray:
        rows = np.empty(stop - start, object)
        rows[:] = self._values[start:stop]
        return rows


def _are_bytes(value: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Pictures that are stored as plain numbers come as int64."""
    return len(shape) == 3 and value.dtype.kind == "i" and 0 <= value.min() <= value.max() <= 255


def _described(key: str, rows: Rows) -> Column:
    found = column(key, rows)
    if isinstance(rows, PackedPictures):
        return found.model_copy(update={"dtype": rows.encoding})
    return found


def _shapes(files: Files) -> Shapes:
    """Shape of one row of each key that `features.json` describes."""
    for name in files.names:
        if PurePosixPath(name).name == "features.json":
            try:
                told = json.loads(files.read(name, _META_BYTES))
                return dict(_walked(told["featuresDict"]["features"]["steps"], ""))
            except (EpisodeError, ValueError, KeyError, TypeError, RecursionError):
                return {}  # shapes follow from the number of steps, but for plain pictures
    return {}


def _walked(node: Mapping[str, Any], key: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    if "sequence" in node:
        yield from _walked(node["sequence"]["feature"], key)
    for name, below in node.get("featuresDict", {}).get("features", {}).items():
        yield from _walked(below, f"{key}/{name}" if key else name)
    for kind in ("tensor", "image"):
        if kind in node:
            yield key, tuple(int(n) for n in node[kind].get("shape", {}).get("dimensions", ()))
