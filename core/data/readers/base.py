"""What a reader of robot logs offers, and the names it looks for."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel, ConfigDict

from core.data.codes import Remark
from core.data.dataset import ActionKind
from core.data.episode import EpisodeError

Field = Literal["image", "action", "state", "reward", "terminated", "success", "time"]
ALIASES: dict[Field, tuple[str, ...]] = {
    "image": (
        *("image", "images", "img", "pixels", "frames", "rgb"),
        *("obs", "observation", "observations"),
    ),
    "action": ("action", "actions"),
    "state": ("state", "states"),
    "reward": ("reward", "rewards"),
    "terminated": ("terminated", "terminal", "terminals", "terminations", "done", "dones"),
    "success": ("success", "successes", "is_success"),
    "time": ("timestamp", "timestamps", "time"),
}
"""Names looked for, the most telling first; an image may also be `camera_<anything>`."""
REQUIRED: tuple[Field, ...] = ("image", "action")
FORMATS_PAGE = "docs/formats.md"
"""What error messages point to; each format has an anchor there."""
_LEAST_SIDE_PX = 8
Aliases = Mapping[Field, tuple[str, ...]]


class LogError(ValueError):
    """The upload as a whole cannot be read; the message says why and what to do."""


@runtime_checkable
class Rows(Protocol):
    """An array on disk that is read by rows of its first axis, cheapest in order."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows start..stop in memory; `EpisodeError` if they cannot be decoded."""


@runtime_checkable
class ShrinkingRows(Rows, Protocol):
    """Pictures that come smaller for less than they come whole."""

    def read_small(self, start: int, stop: int, height: int, width: int) -> np.ndarray:
        """(N, height, width, 3) u8, means over areas of what `read` gives."""


@dataclass(frozen=True)
class RowSlice:
    """The rows of one episode."""

    rows: Rows
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.rows.shape[1:])

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows counted from the start of the episode."""
        return self.rows.read(
            self.start + start, self.start + (len(self) if stop is None else stop)
        )

    def read_small(self, start: int, stop: int, height: int, width: int) -> np.ndarray:
        """Pictures made smaller, of `ShrinkingRows`."""
        assert isinstance(self.rows, ShrinkingRows)
        return self.rows.read_small(self.start + start, self.start + stop, height, width)


Fields = Mapping[Field, RowSlice]


@dataclass(frozen=True)
class EpisodeRef:
    """Where an episode lies: for opening it and for messages."""

    number: int
    """Counted over the whole upload, from 0."""
    file: str
    rows: tuple[int, int] | None = None
    """Rows of the file, or None for all of it."""


class Column(BaseModel):
    """A key of the logs: what a mapping may name."""

    model_config = ConfigDict(frozen=True)

    key: str
    shape: tuple[int, ...]
    """Of one row: () for one value per step, (H, W, 3) for a picture."""
    dtype: str
    """As stored; `jpeg`, `png` or a video codec for pictures that are packed."""
    image: bool = False
    names: tuple[str, ...] = ()
    """What each value of a row is, if the logs say it."""
    unit: str | None = None


@dataclass(frozen=True)
class LogMeta:
    """What the logs say about themselves."""

    fps: float | None = None
    action_kind: ActionKind | None = None
    task: str | None = None
    units: dict[str, str] = field(default_factory=dict)
    why: str = ""
    """What speaks for the dialect that was found inside the files."""
    names: dict[Field, tuple[str, ...]] = field(default_factory=dict)
    """What each column of `action` and `state` is."""


@runtime_checkable
class Reader(Protocol):
    """Opened logs of one format."""

    @property
    def format(self) -> str: ...
    @property
    def meta(self) -> LogMeta: ...
    @property
    def episodes(self) -> Sequence[EpisodeRef]: ...
    @property
    def notes(self) -> Sequence[str | Remark]:
        """What was left out, in words, and remarks on what was found."""

    @property
    def columns(self) -> Sequence[Column]:
        """All keys that a mapping may name, of the first readable episode."""

    @property
    def fields(self) -> Mapping[Field, str]:
        """The key that is read for each field; a field that the logs lack is absent."""

    def open(self, episode: EpisodeRef) -> AbstractContextManager[Fields]:
        """Fields of an episode, valid inside the context; `EpisodeError` if it is unreadable."""

    def close(self) -> None:
        """Close what is open."""


def column(key: str, rows: Rows) -> Column:
    """The column of an array; three or four axes of a likely picture's size make it a camera."""
    shape = rows.shape[1:]
    sides = [n for n in shape if n >= _LEAST_SIDE_PX]
    image = len(sides) == 2 and (len(shape) == 2 or (len(shape) == 3 and 0 < min(shape) <= 3))
    return Column(key=key, shape=shape, dtype=str(rows.dtype), image=image)


def checked_mapping(mapping: Mapping[str, str]) -> dict[Field, str]:
    """The user's choice of keys; `LogError` for a field that does not exist."""
    canonical: dict[str, Field] = {
        "frames": "image",
        "actions": "action",
        **{f: f for f in ALIASES},
    }
    unknown = sorted(mapping.keys() - canonical.keys())
    if unknown:
        raise LogError(f"mapping: no field is called {unknown[0]!r}; choose from {list(ALIASES)}")
    return {canonical[f]: key for f, key in mapping.items()}


def choose_keys(
    keys: Collection[str], mapping: Mapping[Field, str], aliases: Aliases = ALIASES
) -> dict[Field, str]:
    """Key of each field that these logs hold; `EpisodeError` if a needed one is missing."""
    chosen = find_keys(keys, mapping, aliases)
    if error := missing_key(chosen, keys, mapping):
        raise error
    return chosen


def find_keys(
    keys: Collection[str], mapping: Mapping[Field, str], aliases: Aliases = ALIASES
) -> dict[Field, str]:
    """Key of each field that these logs hold, the user's choice before the usual names."""
    chosen: dict[Field, str] = {}
    for name in ALIASES:
        key = mapping.get(name) or next((a for a in aliases.get(name, ()) if _has(keys, a)), None)
        if key is None and name == "image":
            key = min((k for k in keys if k.startswith("camera_")), default=None)
        if key is not None and _has(keys, key):
            chosen[name] = key
    return chosen


def missing_key(
    chosen: Mapping[Field, str], keys: Collection[str], mapping: Mapping[Field, str]
) -> EpisodeError | None:
    """What is wrong if a needed field has no key, or the user chose one that is not there."""
    for name in ALIASES:
        if name not in chosen and (name in mapping or name in REQUIRED):
            return _missing(name, mapping.get(name), keys)
    return None


def parts(key: str) -> tuple[str, ...]:
    """The keys that `a, b` names: their values stand side by side."""
    return tuple(k.strip() for k in key.split(","))


def _has(keys: Collection[str], key: str) -> bool:
    return key in keys or all(k in keys for k in parts(key))


def _missing(name: Field, wanted: str | None, keys: Collection[str]) -> EpisodeError:
    looked_for = repr(wanted) if wanted else " or ".join(repr(a) for a in ALIASES[name][:2])
    return EpisodeError(
        "missing_key",
        name,
        f"no {looked_for} among the keys {sorted(keys)[:20]}",
        fix=f"say which key it is, as in mapping {{{name!r}: '<key>'}}",
    )
