"""HDF5 files from strangers: only what lies inside the file is followed, and every step is checked."""

from collections.abc import Iterator
from typing import IO, TypeAlias

import h5py
import numpy as np

from core.data.episode import EpisodeError
from core.data.readers.chunked import ChunkedRows
from core.data.readers.files import damaged, natural_key
from core.data.readers.hdf5_array import HDF5_ERRORS, Hdf5Rows, naming, rows_of_array

MAGIC = b"\x89HDF\r\n\x1a\n"
_MOST_CHILDREN = 1_000_000
_MOST_LOOKED_AT = 5000
_DEEPEST = 8
_ATTRIBUTE_BYTES = 1 << 20
_MOST_KEPT = 64
_Node: TypeAlias = h5py.Group | h5py.Dataset


class Hdf5:
    """An open file. Soft links and links to other files are as if they were not there."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._name = name
        self._stream = file
        self.outside: list[str] = []
        """Links that were not followed."""
        self._kept: dict[str, _Node | None] = {}
        """What lies at paths that were walked lately: to open it anew costs more than its rows."""
        try:
            self._file = h5py.File(file, "r")
        except HDF5_ERRORS as error:
            file.close()
            cut = "truncated" in str(error)
            raise EpisodeError(
                "truncated" if cut else "unreadable",
                name,
                f"is not a whole HDF5 file ({str(error)[:200]})",
                fix="close the file in the recorder, even when it is stopped, and upload it again",
            ) from error

    def close(self) -> None:
        self._kept.clear()
        self._file.close()
        self._stream.close()

    def names(self, path: str = "") -> tuple[str, ...]:
        """Children of a group in natural order; none if there is no such group."""
        found = self._find(path)
        return self._children(found) if isinstance(found, h5py.Group) else ()

    def is_array(self, path: str) -> bool:
        return isinstance(self._find(path), h5py.Dataset)

    def rows(self, path: str, lead: int | None = None) -> ChunkedRows | Hdf5Rows:
        """The array at a path, or its element `lead`; `EpisodeError` if it cannot be read."""
        found = self._find(path)
        if not isinstance(found, h5py.Dataset):
            raise damaged(self._place(path), "there is no such array")
        return rows_of_array(found, self._place(path), lead)

    def arrays(self, path: str = "", depth: int = _DEEPEST) -> tuple[str, ...]:
        """Paths of all arrays below a group, relative to it."""
        found = self._find(path)
        with naming(self._place(path)):
            below = self._below(found, depth) if isinstance(found, h5py.Group) else ()
            return tuple(sorted(below, key=natural_key))

    def attribute(self, path: str, name: str) -> str | float | None:
        """A number or a text beside a group or array, or None."""
        found = self._find(path)
        with naming(f"{self._place(path)}@{name}"):
            if found is None or name not in found.attrs:
                return None
            held = found.attrs.get_id(name)
            if held.get_storage_size() > _ATTRIBUTE_BYTES or held.dtype.kind not in "buifSO":
                return None
            value = found.attrs[name]
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.reshape(())[()]
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return value if isinstance(value, str) else _number(value)

    def _find(self, path: str) -> _Node | None:
        """What lies at a path, reached over hard links only."""
        at: _Node = self._file
        walked = ""
        with naming(self._place(path)):
            for name in filter(None, path.split("/")):
                walked = f"{walked}/{name}"
                if walked not in self._kept:
                    self._keep(walked, self._child(at, name))
                found = self._kept[walked]
                if found is None:
                    return None
                at = found
        return at

    def _child(self, at: _Node, name: str) -> _Node | None:
        if not isinstance(at, h5py.Group) or not self._is_inside(at, name):
            return None
        child = at[name]
        return child if isinstance(child, h5py.Group | h5py.Dataset) else None

    def _keep(self, path: str, node: _Node | None) -> None:
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[path] = node

    def _children(self, group: h5py.Group) -> tuple[str, ...]:
        with naming(self._name):
            if len(group) > _MOST_CHILDREN:
                raise damaged(self._place(group.name), f"has more than {_MOST_CHILDREN} entries")
            # The library gives names that are not UTF-8 as bytes; nobody asks for those.
            inside = [n for n in group if isinstance(n, str) and self._is_inside(group, n)]
        return tuple(sorted(inside, key=natural_key))

    def _is_inside(self, group: h5py.Group, name: str) -> bool:
        raw = name.encode("utf-8", "surrogateescape")
        if raw not in group.id:
            return False
        if group.id.links.get_info(raw).type == h5py.h5l.TYPE_HARD:
            return True
        path = f"{group.name.rstrip('/')}/{name}"
        if path not in self.outside:
            self.outside.append(path)
        return False

    def _below(self, top: h5py.Group, depth: int) -> Iterator[str]:
        """Paths of arrays, relative to the group; a group that lies in itself is met once."""
        waiting: list[tuple[h5py.Group, int, str]] = [(top, depth, "")]
        met = {_address(top)}
        looked_at = 0
        while waiting and looked_at < _MOST_LOOKED_AT:
            group, levels, prefix = waiting.pop()
            for name in self._children(group):
                looked_at += 1
                child = self._find(f"{group.name}/{name}")
                if isinstance(child, h5py.Dataset):
                    yield prefix + name
                elif isinstance(child, h5py.Group) and levels > 1 and _address(child) not in met:
                    met.add(_address(child))
                    waiting.append((child, levels - 1, f"{prefix}{name}/"))

    def _place(self, path: str | None) -> str:
        return f"{self._name}:{path}" if path else self._name


def _address(group: h5py.Group) -> int:
    return int(h5py.h5o.get_info(group.id).addr)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, bool | int | float | np.generic) else None
