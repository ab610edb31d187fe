"""What a reader of robot logs offers, and the names it looks for."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from core.data.dataset import ActionKind
from core.data.episode import EpisodeError

Field = Literal["image", "action", "state", "reward", "terminated", "success"]
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
}
"""Names looked for, the most telling first; an image may also be `camera_<anything>`."""
REQUIRED: tuple[Field, ...] = ("image", "action")


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


Fields = Mapping[Field, RowSlice]


@dataclass(frozen=True)
class EpisodeRef:
    """Where an episode lies: for opening it and for messages."""

    number: int
    """Counted over the whole upload, from 0."""
    file: str
    rows: tuple[int, int] | None = None
    """Rows of the file, or None for all of it."""


@dataclass(frozen=True)
class LogMeta:
    """What the logs say about themselves."""

    fps: float | None = None
    action_kind: ActionKind | None = None
    task: str | None = None
    units: dict[str, str] = field(default_factory=dict)


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
    def notes(self) -> Sequence[str]:
        """What was left out, in words."""

    def open(self, episode: EpisodeRef) -> AbstractContextManager[Fields]:
        """Fields of an episode, valid inside the context; `EpisodeError` if it is unreadable."""

    def close(self) -> None:
        """Close what is open."""


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


def choose_keys(keys: Collection[str], mapping: Mapping[Field, str]) -> dict[Field, str]:
    """Key of each field that these logs hold; `EpisodeError` if a needed one is missing."""
    chosen: dict[Field, str] = {}
    for name, aliases in ALIASES.items():
        key = mapping.get(name) or next((a for a in aliases if a in keys), None)
        if key is None and name == "image":
            key = min((k for k in keys if k.startswith("camera_")), default=None)
        if key is not None and key in keys:
            chosen[name] = key
        elif name in mapping or name in REQUIRED:
            raise _missing(name, mapping.get(name), keys)
    return chosen


def _missing(name: Field, wanted: str | None, keys: Collection[str]) -> EpisodeError:
    looked_for = repr(wanted) if wanted else " or ".join(repr(a) for a in ALIASES[name][:2])
    return EpisodeError(
        "missing_key",
        name,
        f"no {looked_for} among the keys {sorted(keys)[:20]}",
        fix=f"say which key it is, as in mapping {{{name!r}: '<key>'}}",
    )
