"""Where the entries of a zip file lie, in a third of the memory that `zipfile` takes for it."""

import zipfile
from collections.abc import Iterable, Iterator

import numpy as np

_FIELDS = ("header_offset", "compress_size", "file_size", "CRC", "compress_type", "flag_bits")


class ZipIndex:
    """Entries by name. A replay buffer of 50 GB has hundreds of thousands."""

    def __init__(self, infos: Iterable[zipfile.ZipInfo]) -> None:
        kept = [i for i in infos if not i.is_dir()]
        self._places = {i.filename: at for at, i in enumerate(kept)}
        # What stands in the file's own headers, if it is not the name: `zipfile` compares them.
        self._originals = {
            i.filename: i.orig_filename for i in kept if i.orig_filename != i.filename
        }
        self._numbers = {f: np.array([getattr(i, f) for i in kept], np.int64) for f in _FIELDS}

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, name: str) -> zipfile.ZipInfo:
        """What `zipfile` needs to open the entry; `KeyError` if there is none."""
        at = self._places[name]
        info = zipfile.ZipInfo(self._originals.get(name, name))
        for field, values in self._numbers.items():
            setattr(info, field, int(values[at]))
        return info
