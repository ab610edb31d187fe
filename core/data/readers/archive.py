"""Zip files from strangers: checked before a byte is expanded, read as streams only.

Names inside an archive are labels. They are never joined to a path, so `../` and absolute names,
links and device nodes have no effect.
"""

import io
import struct
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, BinaryIO


@dataclass(frozen=True)
class Limits:
    """What an archive may expand to."""

    entries: int = 300_000
    expanded_bytes: int = 256 << 30
    ratio: float = 500.0
    """Expanded to packed bytes. Plain renderings pack at 200 : 1, zip bombs near 1000 : 1."""
    ratio_free_bytes: int = 256 << 20
    """Below this the ratio does not matter."""


DEFAULT_LIMITS = Limits()
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_LOCAL = struct.Struct("<4s5H3L2H")
_BYTES_PER_ENTRY = 1024
"""Most that the directory may hold per entry: 46 bytes, the name and extra fields."""


class BadArchive(ValueError):
    """Why an archive is not read, to be put after its name."""


def open_archive(file: IO[bytes], limits: Limits = DEFAULT_LIMITS) -> zipfile.ZipFile:
    """Open a zip file; `BadArchive` if it is cut, hostile or uses features that are not read."""
    try:
        count = _check_directory(file, limits)
        archive = zipfile.ZipFile(file)
        if (len(archive.infolist()) - count) % 0x10000:  # some programs count up to there only
            raise zipfile.BadZipFile(f"it says {count} entries and has {len(archive.infolist())}")
    except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError) as error:
        if isinstance(error, BadArchive):
            raise
        raise BadArchive(
            f"is not a whole zip file ({error}), it may be cut short: make it again"
        ) from error
    if refusals := _refusals(archive.infolist(), limits):
        archive.close()
        raise BadArchive(refusals[0])
    return archive


def printable(name: str, limit: int = 120) -> str:
    """A name from an archive, fit for a message: no control characters, not too long."""
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in name[: limit + 1])
    return shown if len(shown) <= limit else shown[:limit] + "…"


def stored_section(path: Path, info: zipfile.ZipInfo) -> BinaryIO:
    """An entry that is stored without compression, as a seekable window on the archive."""
    file = path.open("rb", buffering=0)
    try:
        file.seek(info.header_offset)
        *_, name_length, extra_length = _LOCAL.unpack(file.read(_LOCAL.size))
        start = info.header_offset + _LOCAL.size + name_length + extra_length
        return io.BufferedReader(_Section(file, start, info.file_size))
    except (struct.error, OSError) as error:
        file.close()
        raise zipfile.BadZipFile(f"bad header of entry {printable(info.filename)}") from error


class _Section(io.RawIOBase):
    """Bytes start..start + size of a file, as a file."""

    def __init__(self, file: io.FileIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("seek before the start of the entry")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self._size - self._position))
        self._file.seek(self._start + self._position)
        count = self._file.readinto(memoryview(buffer)[:wanted])
        self._position += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _check_directory(file: IO[bytes], limits: Limits) -> int:
    """Refuse a huge directory before `zipfile` makes an object of each entry; returns their number.

    The directory must end the file and lie where it says: a cut archive of archives would
    otherwise be taken for the last whole one inside.
    """
    size = file.seek(0, io.SEEK_END)
    tail_start = max(0, size - _END.size - 0xFFFF)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        raise zipfile.BadZipFile("no directory at the end")
    *_, count, directory_bytes, offset, comment_bytes = _END.unpack_from(tail, at)
    directory_end = tail_start + at
    if directory_end + _END.size + comment_bytes != size:
        raise zipfile.BadZipFile("no directory at the end")
    if at >= _LOCATOR.size and tail[at - _LOCATOR.size :].startswith(b"PK\x06\x07"):
        directory_end = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)[2]
        file.seek(directory_end)
        count, directory_bytes, offset = _END64.unpack(file.read(_END64.size))[7:]
    if offset + directory_bytes != directory_end:
        raise zipfile.BadZipFile("its directory is not where it says")
    if max(count, directory_bytes / _BYTES_PER_ENTRY) > limits.entries:
        raise BadArchive(
            f"lists {count} entries, more than the {limits.entries} allowed: "
            "pack fewer, larger files"
        )
    return int(count)


def _refusals(infos: list[zipfile.ZipInfo], limits: Limits) -> list[str]:
    """Why these entries are not read; empty if they are."""
    packed = sum(i.compress_size for i in infos)
    expanded = sum(i.file_size for i in infos)
    found = []
    if len(infos) > limits.entries:
        found.append(f"has {len(infos)} entries, more than the {limits.entries} allowed")
    if expanded > limits.expanded_bytes:
        found.append(f"expands to {expanded} bytes, more than the {limits.expanded_bytes} allowed")
    if expanded > max(limits.ratio_free_bytes, limits.ratio * packed):
        found.append(
            f"expands {expanded / max(1, packed):.0f} times, more than the {limits.ratio:.0f} "
            "allowed: pack it with less compression if it holds real logs"
        )
    if len({i.filename for i in infos}) < len(infos):
        found.append("has two entries of the same name: pack it again")
    for info in infos:
        name = printable(info.filename)
        if info.flag_bits & 0x1:
            found.append(f"is encrypted ({name}): pack it without a password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            found.append(f"packs {name} with a method other than store and deflate: pack it again")
    return found + _overlaps(infos)


def _overlaps(infos: list[zipfile.ZipInfo]) -> list[str]:
    ordered = sorted(infos, key=lambda i: i.header_offset)
    return [
        f"has entries that share bytes ({printable(after.filename)}): it is not a usual zip file"
        for before, after in pairwise(ordered)
        if before.header_offset + _LOCAL.size + before.compress_size > after.header_offset
    ]
