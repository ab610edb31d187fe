"""Replay buffers as diffusion-policy writes them: flat arrays under `data`, ends under `meta`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from core.data.episode import EpisodeError
from core.data.readers.archive import printable
from core.data.readers.base import (
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
)
from core.data.readers.ends import episode_rows, same_rows
from core.data.readers.files import Files
from core.data.readers.joined import rows_of
from core.data.readers.zarr_array import ZarrRows

_ENDS = "meta/episode_ends"
_MARK = f"{_ENDS}/.zarray"


def recognise(files: Files) -> str | None:
    """Why these are replay buffers, or None."""
    if any(_is_mark(n) for n in files.names):
        return f"a zarr store with {_ENDS}"
    if any(n.rsplit("/", 1)[-1] == "zarr.json" for n in files.names):
        raise LogError(
            f"{files.label} is a zarr version 3 store: write it with zarr_format=2, "
            f"with data/img, data/action and {_ENDS}"
        )
    if any(n.endswith((".zarray", ".zgroup")) for n in files.names):
        raise LogError(
            f"{files.label} is a zarr store without {_ENDS}: add it, the exclusive end row of "
            "each episode, beside data/img and data/action"
        )
    return None


class ZarrReader:
    """Episodes as row ranges of `data/*`, with T actions to T frames."""

    format = "zarr"

    def __init__(self, path: Path, files: Files, mapping: Mapping[Field, str]) -> None:
        marks = sorted((n for n in files.names if _is_mark(n)), key=len)
        if len(marks) > 1:
            raise LogError(f"{files.label} holds {len(marks)} zarr stores: upload them one by one")
        self._files = files
        self._names = frozenset(files.names)
        self._root = marks[0].removesuffix(_MARK)
        self.meta = LogMeta()
        self.notes: list[str] = []
        self._keys = self._find_keys()
        self.columns = list(self._columns())
        self.fields = find_keys(self._keys, mapping)
        others = [c.key for c in self.columns if c.image and c.key != self.fields.get("image")]
        if others:
            self.notes.append(f"cameras {others} are left out; to use one, map 'image' to it")
        try:
            self._rows = {f: self._field(f) for f in self.fields}
            self.episodes = self._find_episodes()
        except EpisodeError as error:
            raise LogError(f"{files.label}: {error}") from error

    @contextmanager
    def open(self, episode: EpisodeRef) -> Iterator[Fields]:
        rows = episode.rows
        assert rows is not None
        yield {f: RowSlice(r, *rows) for f, r in self._rows.items()}

    def close(self) -> None:
        self._files.close()

    def _find_keys(self) -> frozenset[str]:
        start, end = f"{self._root}data/", "/.zarray"
        found = (n for n in self._names if n.startswith(start) and n.endswith(end))
        return frozenset(n.removeprefix(start).removesuffix(end) for n in found)

    def _columns(self) -> Iterator[Column]:
        """Those that can be read; what is wrong with the others is said when they are chosen."""
        for key in sorted(self._keys):
            try:
                yield column(key, self._array(f"data/{key}"))
            except EpisodeError:
                continue

    def _field(self, field: Field) -> Rows:
        sparse = field != "image"
        return rows_of(
            self.fields[field], self._keys, lambda k: self._array(f"data/{k}", sparse=sparse)
        )

    def _array(self, name: str, *, sparse: bool = False) -> ZarrRows:
        return ZarrRows(self._files, self._names, self._root + name, sparse=sparse)

    def _find_episodes(self) -> list[EpisodeRef]:
        ends = self._array(_ENDS)
        found: list[tuple[str, Rows]] = [(f, r) for f, r in self._rows.items()]
        found = found or [(k, self._array(f"data/{k}")) for k in self._keys]
        if not found:
            return []
        ranges, notes = episode_rows(ends.read(0, ends.shape[0]), same_rows(found))
        self.notes += notes
        file = printable(self._root.rstrip("/")) or self._files.label
        return [EpisodeRef(i, file, rows) for i, rows in enumerate(ranges)]


def _is_mark(name: str) -> bool:
    return name == _MARK or name.endswith(f"/{_MARK}")
