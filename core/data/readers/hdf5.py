"""Episodes in HDF5 files: one sniffer for the layouts that labs use."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from core.data.episode import EpisodeError
from core.data.readers.archive import printable
from core.data.readers.base import (
    ALIASES,
    FORMATS_PAGE,
    Column,
    EpisodeRef,
    Field,
    Fields,
    LogError,
    LogMeta,
    RowSlice,
    column,
    find_keys,
    missing_key,
)
from core.data.readers.files import Files
from core.data.readers.hdf5_file import MAGIC, Hdf5
from core.data.readers.hdf5_layout import Layout, Place
from core.data.readers.hdf5_layouts import LAYOUTS
from core.data.readers.packed import PackedPictures

_SUFFIXES = (".hdf5", ".h5", ".hdf", ".he5")
_META_BYTES = 64 << 20
_SURVEYED = 8
_NAMED = 12


def recognise(files: Files) -> str | None:
    """Why these are HDF5 logs, or None."""
    found = _names(files)
    return f"{len(found)} HDF5 file{'s' * (len(found) > 1)}" if found else None


class Hdf5Reader:
    """Files of one layout; the file that was read last stays open."""

    def __init__(self, path: Path, files: Files, mapping: Mapping[Field, str]) -> None:
        self._files = files
        self._names = {printable(n): n for n in _names(files)}
        self._open_file: tuple[str, Hdf5] | None = None
        self.notes: list[str] = []
        self.columns: list[Column] = []
        self.fields: dict[Field, str] = {}
        self._keys: tuple[str, ...] = ()
        self._odd: EpisodeError | None = None
        """Why the first episodes could not be looked into."""
        self._broken: dict[str, EpisodeError] = {}
        """Files whose episodes cannot be counted: each is one that cannot be read."""
        try:
            self._layout, why, meta = self._find_layout()
            self._places = list(self._find_places())
            self.format = f"hdf5 ({self._layout.name})"
            self.meta = LogMeta(meta.fps, meta.action_kind, meta.task, meta.units, why)
            self.episodes = [
                EpisodeRef(n, _label(file, place), place.rows if place.lead is None else None)
                for n, (file, place) in enumerate(self._places)
            ]
            self._survey(mapping)
        except EpisodeError as error:
            self._close_file()
            place = "" if str(error).startswith(files.label) else f"{files.label}: "
            raise LogError(f"{place}{error}; see {FORMATS_PAGE}#hdf5") from error
        except BaseException:
            self._close_file()
            raise

    @contextmanager
    def open(self, episode: EpisodeRef) -> Iterator[Fields]:
        name, place = self._places[episode.number]
        if error := self._broken.get(name) or missing_key(self.fields, self._keys, {}):
            raise error if name in self._broken else self._odd or error
        opened = self._layout.opened(self._file(name), place, self.fields, self._keys)
        sliced = {f: RowSlice(r, *(place.rows or (0, r.shape[0]))) for f, r in opened.items()}
        for field, rows in sliced.items():
            if rows.stop > rows.rows.shape[0]:
                raise EpisodeError(
                    "length_mismatch",
                    field,
                    f"has {rows.rows.shape[0]} rows, and the episode ends at row {rows.stop}",
                    fix="write the index of episodes again",
                )
        yield sliced

    def close(self) -> None:
        self._close_file()
        self._files.close()

    def _file(self, name: str) -> Hdf5:
        if self._open_file is None or self._open_file[0] != name:
            self._close_file()
            self._open_file = (name, Hdf5(self._files.open(self._names[name]), name))
        return self._open_file[1]

    def _close_file(self) -> None:
        if self._open_file:
            self._open_file[1].close()
            self._open_file = None

    def _find_layout(self) -> tuple[Layout, str, LogMeta]:
        """From the first file that can be opened."""
        broken: EpisodeError | None = None
        for name in self._names:
            try:
                file = self._file(name)
                for layout in LAYOUTS:
                    if why := layout.why(file):
                        return layout, why, layout.meta(file, self._beside())
            except EpisodeError as error:
                broken = broken or error
                continue
            raise LogError(_unknown(name, file))
        assert broken is not None  # there is a file, or `recognise` had said no
        raise broken

    def _find_places(self) -> Iterator[tuple[str, Place]]:
        for name in self._names:
            if not self._layout.many:
                yield name, Place()
                continue
            try:
                yield from ((name, p) for p in self._layout.places(self._file(name)))
                if outside := self._file(name).outside:
                    shown = printable(outside[0])
                    self.notes.append(f"{name}: links are not followed, as {shown} is one")
            except EpisodeError as error:
                self._broken[name] = error
                yield name, Place()

    def _survey(self, mapping: Mapping[Field, str]) -> None:
        """Columns and keys of the first episode that has all that is needed, else of the first."""
        whole = [p for p in self._places if p[0] not in self._broken]
        for name, place in whole[:_SURVEYED]:
            try:
                keys = self._layout.keys(self._file(name), place)
                columns = list(self._columns(self._file(name), place, keys))
            except EpisodeError as error:
                self._odd = self._odd or error
                continue
            fields = self._choose(keys, columns, mapping)
            missing = missing_key(fields, keys, mapping)
            if not self._keys or not missing:
                self._keys, self.columns, self.fields = keys, columns, fields
            if not missing:
                break
        cameras = [c.key for c in self.columns if c.image]
        if others := [k for k in cameras if k != self.fields.get("image")]:
            used = self.fields.get("image")
            self.notes.append(f"of {len(cameras)} cameras {used!r} is read; others: {others}")

    def _columns(self, file: Hdf5, place: Place, keys: Collection[str]) -> Iterator[Column]:
        """Those that can be read; what is wrong with the others is said when they are chosen."""
        for key in keys:
            try:
                rows = self._layout.rows(file, place, key)
            except EpisodeError:
                continue
            found = column(key, rows)
            if isinstance(rows, PackedPictures):
                found = found.model_copy(update={"dtype": rows.encoding})
            yield found

    def _choose(
        self, keys: Collection[str], columns: list[Column], mapping: Mapping[Field, str]
    ) -> dict[Field, str]:
        """The layout's names, then the usual ones at any depth, then the first camera."""
        aliases = dict(self._layout.aliases)
        if not aliases:
            for name, usual in ALIASES.items():
                aliases[name] = tuple(k for u in usual for k in keys if k.rsplit("/", 1)[-1] == u)
        cameras = tuple(c.key for c in columns if c.image)
        named = tuple(a for a in aliases.get("image", ()) if a in cameras)
        return find_keys(keys, mapping, {**aliases, "image": named + cameras})

    def _beside(self) -> dict[str, Any]:
        """`metadata.json` beside the files."""
        for name in self._files.names:
            if PurePosixPath(name).name == "metadata.json":
                try:
                    found = json.loads(self._files.read(name, _META_BYTES))
                except (ValueError, RecursionError):  # what it says is not needed
                    return {}
                return found if isinstance(found, dict) else {}
        return {}


def _names(files: Files) -> list[str]:
    found = [n for n in files.names if n.lower().endswith(_SUFFIXES)]
    if not found and len(files.names) == 1 and files.head(files.names[0], len(MAGIC)) == MAGIC:
        return list(files.names)
    return found


def _label(file: str, place: Place) -> str:
    if place.group:
        return f"{file}:{place.group}"
    return file if place.lead is None else f"{file}, episode {place.lead}"


def _unknown(name: str, file: Hdf5) -> str:
    top = [printable(n) for n in file.names()[:_NAMED]]
    known = ", ".join(layout.name for layout in LAYOUTS)
    return (
        f"{name} is an HDF5 file of an unknown layout: at its top it has {top}, and no array is "
        f"called action. Layouts that are read: {known}; see {FORMATS_PAGE}#hdf5"
    )
