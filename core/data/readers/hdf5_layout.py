"""One way to lay out episodes in an HDF5 file."""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from core.data.episode import EpisodeError
from core.data.readers.base import Aliases, Field, LogMeta, Rows
from core.data.readers.hdf5_file import Hdf5
from core.data.readers.joined import rows_of
from core.data.readers.packed import pictures_or_numbers

_MOST_EPISODES = 1_000_000


@dataclass(frozen=True)
class Place:
    """Where one episode lies in a file."""

    group: str = ""
    rows: tuple[int, int] | None = None
    """Rows of flat arrays, or of padded ones; None for all."""
    lead: int | None = None
    """Index on the first axis, where that counts episodes."""


class Layout(ABC):
    """One way to lay out episodes. Keys of arrays are relative to the group of an episode."""

    name: ClassVar[str]
    many: ClassVar[bool] = True
    """A file may hold several episodes, so that it must be opened to count them."""
    aliases: ClassVar[Aliases]

    @abstractmethod
    def why(self, file: Hdf5) -> str | None:
        """What speaks for this layout, or None."""

    def places(self, file: Hdf5) -> Sequence[Place]:
        """The episodes of a file, in their order."""
        return [Place()]

    def keys(self, file: Hdf5, place: Place) -> tuple[str, ...]:
        """Keys of the arrays of an episode."""
        return file.arrays(place.group)

    def meta(self, file: Hdf5, beside: Mapping[str, Any]) -> LogMeta:
        """What the file says, or `metadata.json` beside it."""
        return LogMeta()

    def rows(self, file: Hdf5, place: Place, key: str) -> Rows:
        """The array of a key; packed pictures are unpacked."""
        path = f"{place.group}/{key}" if place.group else key
        if not file.is_array(path):
            raise EpisodeError(
                "missing_key",
                key,
                f"is not there; there are {list(self.keys(file, place))[:20]}",
                fix="record the same keys in every episode, or map another key",
            )
        return pictures_or_numbers(file.rows(path, place.lead), path)

    def opened(
        self, file: Hdf5, place: Place, fields: Mapping[Field, str], keys: Collection[str]
    ) -> dict[Field, Rows]:
        """The array of each field of an episode."""
        return {
            f: rows_of(k, keys, lambda key: self.rows(file, place, key)) for f, k in fields.items()
        }


def integers(file: Hdf5, path: str) -> list[int]:
    """A short array of whole numbers."""
    rows = file.rows(path)
    if len(rows.shape) != 1 or rows.dtype.kind not in "ui" or rows.shape[0] > _MOST_EPISODES:
        raise wrong_index(path, f"has shape {rows.shape} and type {rows.dtype}")
    return [int(n) for n in rows.read(0, rows.shape[0])]


def wrong_index(field: str, message: str) -> EpisodeError:
    """The error for numbers that do not tell where episodes lie."""
    return EpisodeError(
        "wrong_ends", field, message, fix="store the length of each episode as whole numbers"
    )


def parsed(text: object) -> dict[str, Any]:
    """A JSON object in an attribute; empty if it is none."""
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def text_of(mapping: Mapping[str, Any], key: str) -> str | None:
    """A text of a JSON object, if it is one."""
    value = mapping.get(key)
    return value[:200] if isinstance(value, str) and value else None
