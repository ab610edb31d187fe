"""Logs as a set of named streams, be they an archive or a folder."""

import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, BinaryIO, Protocol

from pydantic import ValidationError

from core.data.episode import EpisodeError
from core.data.readers.archive import (
    DEFAULT_LIMITS,
    BadArchive,
    Limits,
    open_archive,
    printable,
    stored_section,
)
from core.data.readers.base import FORMATS_PAGE, LogError
from core.data.readers.zip_index import ZipIndex

UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError)
"""What a damaged entry raises."""
_SPOOL_BYTES = 64 << 20
_COPY_BYTES = 1 << 20
_KINDS = (
    (b"\x1f\x8b", "a gzip file"),
    (b"PAR1", "a single parquet file"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"\x93NUMPY", "a single npy array"),
    (b"\x80", "probably a pickle, which is never opened"),
)


class Files(Protocol):
    """Names and streams."""

    label: str
    names: tuple[str, ...]

    def open(self, name: str) -> IO[bytes]:
        """A seekable stream; `EpisodeError` if the entry is damaged."""

    def read(self, name: str, limit: int) -> bytes:
        """All bytes of a small entry; `EpisodeError` if damaged or larger than `limit`."""

    def head(self, name: str, count: int) -> bytes:
        """The first bytes, for telling formats apart; `EpisodeError` if damaged."""

    def local(self, name: str) -> Path:
        """The entry as a file of its own until `close`, for libraries that want a path."""

    def close(self) -> None: ...


class ZipFiles:
    """The files of an archive. Compressed ones pass through an unnamed temporary file."""

    def __init__(self, path: Path, label: str, limits: Limits = DEFAULT_LIMITS) -> None:
        self.label = label
        self._path = path
        self._file: BinaryIO = path.open("rb")
        try:
            self._archive = open_archive(self._file, limits)
        except BadArchive as error:
            self._file.close()
            raise LogError(f"{label} {error}, then upload it again") from error
        self._infos = ZipIndex(self._archive.infolist())
        self._archive.filelist.clear()
        self._archive.NameToInfo.clear()
        self.names = _ordered(self._infos)
        self._copies: tempfile.TemporaryDirectory[str] | None = None
        self._local: dict[str, Path] = {}

    def open(self, name: str) -> IO[bytes]:
        info = self._infos[name]
        try:
            if info.compress_type == zipfile.ZIP_STORED:
                return stored_section(self._path, info)
            return self._expanded(info)
        except UNREADABLE as error:
            raise damaged(name, error) from error

    def read(self, name: str, limit: int) -> bytes:
        info = self._infos[name]
        if info.file_size > limit:
            raise damaged(name, f"{info.file_size} bytes where at most {limit} are expected")
        try:
            return self._archive.read(info)
        except UNREADABLE as error:
            raise damaged(name, error) from error

    def head(self, name: str, count: int) -> bytes:
        try:
            with self._archive.open(self._infos[name]) as stream:
                return stream.read(count)
        except UNREADABLE as error:
            raise damaged(name, error) from error

    def local(self, name: str) -> Path:
        if name not in self._local:
            self._copies = self._copies or tempfile.TemporaryDirectory()
            # Names of entries are never joined to a path.
            copy = Path(self._copies.name) / str(len(self._local))
            try:
                with self._archive.open(self._infos[name]) as stream, copy.open("wb") as file:
                    shutil.copyfileobj(stream, file, _COPY_BYTES)
            except UNREADABLE as error:
                raise damaged(name, error) from error
            self._local[name] = copy
        return self._local[name]

    def close(self) -> None:
        if self._copies:
            self._copies.cleanup()
        self._archive.close()
        self._file.close()

    def _expanded(self, info: zipfile.ZipInfo) -> IO[bytes]:
        spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 (returned)
        try:
            with self._archive.open(info) as stream:
                shutil.copyfileobj(stream, spool, _COPY_BYTES)
            spool.seek(0)
        except BaseException:
            spool.close()
            raise
        return spool


class FolderFiles:
    """The files of a folder; links are not followed."""

    def __init__(self, path: Path, label: str) -> None:
        self.label = label
        self._path = path
        self.names = _ordered(
            p.relative_to(path).as_posix()
            for p in path.rglob("*")
            if p.is_file() and not p.is_symlink()
        )

    def open(self, name: str) -> IO[bytes]:
        return (self._path / name).open("rb")

    def read(self, name: str, limit: int) -> bytes:
        path = self._path / name
        if path.stat().st_size > limit:
            raise damaged(name, f"{path.stat().st_size} bytes where at most {limit} are expected")
        return path.read_bytes()

    def head(self, name: str, count: int) -> bytes:
        with self.open(name) as file:
            return file.read(count)

    def local(self, name: str) -> Path:
        return self._path / name

    def close(self) -> None:
        pass


class OneFile(FolderFiles):
    """An upload that is one file, under the name that it had."""

    def __init__(self, path: Path, label: str) -> None:
        self.label = label
        self.names = (label,)
        self._file = path

    def open(self, name: str) -> IO[bytes]:
        return self._file.open("rb")

    def read(self, name: str, limit: int) -> bytes:
        if self._file.stat().st_size > limit:
            raise damaged(
                name, f"{self._file.stat().st_size} bytes where at most {limit} are expected"
            )
        return self._file.read_bytes()

    def local(self, name: str) -> Path:
        return self._file


def open_files(path: Path, label: str, limits: Limits = DEFAULT_LIMITS) -> Files:
    """The upload as files: those of a folder or of a zip file, or the one file that it is."""
    if path.is_dir():
        return FolderFiles(path, label)
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise LogError(f"{label} is empty: upload it again")
    kind = next((words for magic, words in _KINDS if start.startswith(magic)), None)
    if kind:
        raise LogError(f"{label} is {kind}: upload a .zip of the logs; formats: {FORMATS_PAGE}")
    if start.startswith(b"PK") or label.lower().endswith((".zip", ".npz")):
        return ZipFiles(path, label, limits)
    return OneFile(path, label)


def damaged(name: str, error: object) -> EpisodeError:
    """The error for an entry that cannot be decoded."""
    return EpisodeError(
        "unreadable",
        printable(name),
        f"cannot be read ({in_words(error)})",
        fix="write the file again and upload it again",
    )


def in_words(error: object) -> str:
    """An error on one line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}"
    return str(error)


def natural_key(name: str) -> str:
    """Sorts `ep_2` before `ep_10`, by putting a number's length before it."""
    return re.sub(r"0*([0-9]{1,18})", lambda m: chr(len(m[1])) + m[1], name)


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    """In natural order, without what file managers leave in archives."""
    kept = (n for n in names if not n.startswith("__MACOSX/") and not Path(n).name.startswith("._"))
    return tuple(sorted(kept, key=natural_key))
