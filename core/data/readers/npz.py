"""One npz file per episode: alone, in a folder or in a zip; or several episodes in one npz."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from core.data.episode import EpisodeError
from core.data.readers.archive import printable
from core.data.readers.base import (
    Column,
    EpisodeRef,
    Fields,
    LogError,
    RowSlice,
    choose_keys,
    column,
    find_keys,
    missing_key,
)
from core.data.readers.base import Field as FieldName
from core.data.readers.ends import episode_rows, same_rows
from core.data.readers.files import Files
from core.data.readers.joined import rows_of
from core.data.readers.meta_json import read_meta
from core.data.readers.npy import Npz

ENDS_KEY = "episode_ends"
_SURVEYED = 32


def recognise(files: Files) -> str | None:
    """Why these are npz logs, or None."""
    if found := sum(n.lower().endswith(".npz") for n in files.names):
        return f"{found} npz files"
    if files.names and all(n.endswith(".npy") and "/" not in n for n in files.names):
        return "one npz file"
    return None


class NpzReader:
    """Rows of `image`, `action` and so on, found by their names or by the user's mapping."""

    format = "npz"

    def __init__(self, path: Path, files: Files, mapping: Mapping[FieldName, str]) -> None:
        self._path = path
        self._files = files
        self._mapping = mapping
        self._names: dict[str, str] = {}
        for name in files.names:
            if name.lower().endswith(".npz"):
                self._names[self._label(name)] = name
        self._shared: Npz | None = None
        self.notes: list[str] = []
        self.meta = read_meta(files)
        self.columns: list[Column] = []
        self.fields: dict[FieldName, str] = {}
        self.episodes = [EpisodeRef(i, f) for i, f in enumerate(self._names)] or self._single()
        self._survey()

    @contextmanager
    def open(self, episode: EpisodeRef) -> Iterator[Fields]:
        with self._npz(episode) as npz:
            chosen = choose_keys(npz.keys, self._mapping)
            rows = {f: rows_of(k, npz.keys, npz.rows) for f, k in chosen.items()}
            yield {f: RowSlice(r, *(episode.rows or (0, r.shape[0]))) for f, r in rows.items()}

    def close(self) -> None:
        if self._shared:
            self._shared.close()
        self._files.close()

    @contextmanager
    def _npz(self, episode: EpisodeRef) -> Iterator[Npz]:
        if self._shared:
            yield self._shared
            return
        with closing(Npz(self._files.open(self._names[episode.file]), episode.file)) as npz:
            yield npz

    def _survey(self) -> None:
        """Columns and keys of the first file that has all that is needed, else of the first."""
        for episode in self.episodes[:_SURVEYED]:
            try:
                with self._npz(episode) as npz:
                    keys, columns = npz.keys, list(_columns(npz))
            except EpisodeError:
                continue
            fields = find_keys(keys, self._mapping)
            if not self.columns or not missing_key(fields, keys, self._mapping):
                self.columns, self.fields = columns, fields
            if not missing_key(fields, keys, self._mapping):
                return

    def _label(self, name: str) -> str:
        """Fit for messages, and different for every file."""
        label = printable(name)
        return label if label not in self._names else f"{label} ({len(self._names)})"

    def _single(self) -> list[EpisodeRef]:
        """The episodes of an upload that is one npz file, which stays open to be read in order."""
        label = self._files.label
        try:
            self._shared = npz = Npz(self._path.open("rb"), label)
            if ENDS_KEY not in npz.keys:
                return [EpisodeRef(0, label)]
            chosen = choose_keys(npz.keys, self._mapping)
            num_rows = same_rows((k, rows_of(k, npz.keys, npz.rows)) for k in chosen.values())
            ends = npz.rows(ENDS_KEY)
            ranges, self.notes = episode_rows(ends.read(0, ends.shape[0]), num_rows)
        except EpisodeError as error:
            if self._shared:
                self._shared.close()
            raise LogError(f"{label}: {error}") from error
        return [EpisodeRef(i, label, rows) for i, rows in enumerate(ranges)]


def _columns(npz: Npz) -> Iterator[Column]:
    """Those of numbers; a pickled one may lie beside them, unread."""
    for key in sorted(npz.keys):
        try:
            rows = npz.rows(key)
        except EpisodeError:
            continue
        yield column(key, rows)
