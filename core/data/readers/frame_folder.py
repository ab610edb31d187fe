"""One folder of PNG or JPEG pictures per episode and camera, with a table of its actions."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np

from core.data.codes import Remark
from core.data.episode import EpisodeError
from core.data.pictures import decoded, kind_of, size_of
from core.data.readers.archive import printable
from core.data.readers.base import Field
from core.data.readers.beside import BesideReader, Pairing, Seen, tables
from core.data.readers.files import Files, damaged

_SUFFIXES = (".png", ".jpg", ".jpeg")
_MOST_BYTES = 64 << 20
_HEADER_BYTES = 64 << 10


def recognise(files: Files) -> str | None:
    """Why these are folders of pictures, or None."""
    folders, told = len(_folders(files)), len(tables(files))
    return f"{folders} folders of pictures beside {told} tables" if folders and told else None


def open_folders(path: Path, files: Files, mapping: Mapping[Field, str]) -> BesideReader:
    """Reader of folders of pictures and their tables."""
    pairing = Pairing(files)
    folders = _folders(files)
    unused = [f for f, names in folders.items() if not pairing.add(f, tuple(names))]
    recordings = pairing.recordings(tables(files))
    reader = BesideReader("frames", files, mapping, recordings, _opened)
    if unused:
        reader.notes.append(f"{len(unused)} folders have no table, as {printable(unused[0])}")
    return reader


def _folders(files: Files) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in files.names:
        if name.lower().endswith(_SUFFIXES):
            found[str(PurePosixPath(name).parent)].append(name)
    return found


@contextmanager
def _opened(files: Files, names: tuple[str, ...]) -> Iterator[Seen]:
    rows = PictureFiles(files, names)
    yield Seen(rows, None, rows.encoding, list(_missing(names)))


class PictureFiles:
    """Pictures of one size, (N, H, W, 3) u8 RGB; the first one's header gives the size."""

    dtype = np.dtype(np.uint8)

    def __init__(self, files: Files, names: tuple[str, ...]) -> None:
        self._files = files
        self._names = names
        head = files.head(names[0], _HEADER_BYTES)
        try:
            self.shape = (len(names), *size_of(head), 3)
        except ValueError as error:
            raise damaged(names[0], error) from error
        self.encoding = kind_of(head) or ""

    def read(self, start: int, stop: int) -> np.ndarray:
        frames = np.empty((stop - start, *self.shape[1:]), np.uint8)
        for i, name in enumerate(self._names[start:stop]):
            try:
                picture = decoded(self._files.read(name, _MOST_BYTES))
                if picture.shape != self.shape[1:]:
                    height, width = picture.shape[:2]
                    raise ValueError(
                        f"is {width} x {height} where the first picture is "
                        f"{self.shape[2]} x {self.shape[1]}"
                    )
            except (ValueError, EpisodeError) as error:
                wrong = damaged(name, error)
                wrong.frame = start + i
                raise wrong from error
            frames[i] = picture
        return frames


def _missing(names: tuple[str, ...]) -> Iterator[Remark]:
    """Numbers that are missing between two pictures."""
    found = [re.findall(r"\d{1,18}", PurePosixPath(n).stem) for n in names]
    if not all(found):
        return
    numbers = np.array([int(f[-1]) for f in found])
    usual = int(np.median(np.diff(numbers))) if len(numbers) > 1 else 1
    wide = np.flatnonzero(np.diff(numbers) > usual)
    if usual > 0 and len(wide):
        at = int(wide[0]) + 1
        yield Remark(
            "time_gap",
            f"image: {printable(names[at])} follows {printable(names[at - 1])}; pictures between "
            "them are missing",
            "check whether the recorder dropped them; cut the episode there if so",
            file=printable(names[0]),
            frame=at,
        )
