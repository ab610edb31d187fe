"""Archives that lie, expand without end or point elsewhere."""

import io
import stat
import struct
import tarfile
import zipfile
import zlib
from functools import cache

import numpy as np

from tests.data.makers import log, npz_bytes
from tests.malformed.any_file import HOSTILE
from tests.malformed.seeds import EPISODES, FRAMES, Case, Kind, entries, npz_of, packed, seed, turn

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_NAMES = ("ep_0.npz", "logs/ep_0.hdf5", "ep_0.csv", "a.bag", "data/img/0.0", "meta/info.json")


def ratio_bomb(rng: np.random.Generator, n: int) -> Case:
    """Zeros that pack a thousand times."""
    whole = [("ep_1.npz", npz_bytes(log(1))), ("ep_2.npz", npz_bytes(log(2)))]
    name = _NAMES[n % len(_NAMES)]
    return Case("logs.zip", _zip([(name, *_zeros(), 8)], whole if n % 2 else []))


def nested_bomb(rng: np.random.Generator, n: int) -> Case:
    """A bomb inside a file that is itself a zip, up to five deep."""
    data = _zip([("image.npy", *_zeros(), 8)], [])
    for level in range(n % 5):
        data = packed({f"level_{level}.zip": data})
    return npz_of(data) if n % 2 else Case("logs.zip", packed({"logs/ep_0.npz": data}))


def overlapping_entries(rng: np.random.Generator, n: int) -> Case:
    """Many entries that share the same packed bytes."""
    size, crc, body = _zeros(1 << 20)
    count = 50 + int(rng.integers(5000))
    names = [f"ep_{i}.npz".encode() for i in range(count)]
    start = _LOCAL.pack(b"PK\3\4", 20, 0, 8, 0, 0, crc, len(body), size, len(names[0]), 0)
    local = start + names[0] + body
    central = b"".join(_entry(name, size, crc, len(body), 0, 8) for name in names)
    return Case("logs.zip", local + central + _end(count, len(central), len(local)))


def many_entries(rng: np.random.Generator, n: int) -> Case:
    """More than are read, for real or by the count alone."""
    if n % 2:
        whole = bytearray(seed("npz"))
        at = whole.rfind(b"PK\5\6")
        struct.pack_into("<HH", whole, at + 8, 65_535 - n, 65_535 - n)
        return Case("logs.zip", bytes(whole))
    return Case("logs.zip", _crowd())


def zip_slip(rng: np.random.Generator, n: int) -> Case:
    name = HOSTILE[n % len(HOSTILE)].replace("\0", "_")[:4000]
    files = {f"{name}/ep_{i}.npz": npz_bytes(log(i, FRAMES)) for i in range(EPISODES)}
    return Case("logs.zip", packed({name: b"was here", "../" * n + "canary": b"", **files}))


def links_and_devices(rng: np.random.Generator, n: int) -> Case:
    """Symbolic links, pipes, sockets and devices as entries of a zip."""
    kinds = (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK)
    info = zipfile.ZipInfo("logs/ep_0.npz")
    info.create_system = 3
    info.external_attr = (kinds[n % len(kinds)] | 0o777) << 16
    target = (b"/etc/passwd", b"../../../../foglab.db", b"/dev/zero", b"ep_1.npz")[n % 4]
    rest: list[tuple[str | zipfile.ZipInfo, bytes]] = [
        (f"logs/ep_{i}.npz", npz_bytes(log(i))) for i in (1, 2)
    ]
    return Case("logs.zip", packed([(info, target), *rest]))


def tar_links(rng: np.random.Generator, n: int) -> Case:
    """Hard links, devices and chains of long links (as of CVE-2025-4517) in a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if n % 2 else "w") as archive:
        step, path = "d" * 247, ""
        for letter in "abcdefghijklmnop":
            folder = tarfile.TarInfo(f"{path}{step}")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            archive.addfile(_link(f"{path}{letter}", step, tarfile.SYMTYPE))
            path = f"{path}{step}/"
        archive.addfile(_link("escape", "../" * 16 + "etc", tarfile.SYMTYPE))
        archive.addfile(_link("hard", "escape/passwd", tarfile.LNKTYPE))
        archive.addfile(_link("device", "", tarfile.CHRTYPE))
    return Case(("logs.tar", "logs.tar.gz", "logs.zip")[n % 3], buffer.getvalue())


def lying_sizes(rng: np.random.Generator, n: int) -> Case:
    """Sizes, places and methods in the directory that are not those of the file."""
    data = bytearray(seed("npz") if n % 3 else turn(2)[1])
    at = data.find(b"PK\1\2")
    offset, width = ((20, "<L"), (24, "<L"), (42, "<L"), (10, "<H"), (28, "<H"), (16, "<L"))[n % 6]
    value = (0, 1, 0x7FFFFFFF, 0xFFFFFFFE)[n // 6 % 4]
    struct.pack_into(width, data, at + offset, value & (0xFFFF if width == "<H" else 0xFFFFFFFF))
    return Case("logs.zip", bytes(data))


def colliding_names(rng: np.random.Generator, n: int) -> Case:
    """The same name twice, or names that some systems take for the same."""
    others = (
        "logs/ep_0.npz",
        "logs/EP_0.NPZ",
        "logs//ep_0.npz",
        "logs/./ep_0.npz",
        "Logs/ep_0.npz",
    )
    files = list(entries(seed("npz")).items())
    changed = npz_bytes(log(9 + n, image=np.zeros((6, 16, 16, 3), np.uint8)))
    return Case("logs.zip", packed([*files, (others[n % len(others)], changed)]))


@cache
def _zeros(size: int = 300 << 20) -> tuple[int, int, bytes]:
    """Size, checksum and deflated bytes of zeros."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    block, crc, parts = bytes(1 << 20), 0, []
    for _ in range(size >> 20):
        crc = zlib.crc32(block, crc)
        parts.append(packer.compress(block))
    return size, crc, b"".join([*parts, packer.flush()])


def _zip(raw: list[tuple[str, int, int, bytes, int]], whole: list[tuple[str, bytes]]) -> bytes:
    """A zip of entries that are packed already, and of others."""
    stored = [(name, len(d), zlib.crc32(d), d, 0) for name, d in whole]
    body, central = b"", b""
    for name, size, crc, data, method in (*raw, *stored):
        title = name.encode()
        central += _entry(title, size, crc, len(data), len(body), method)
        head = _LOCAL.pack(b"PK\3\4", 20, 0, method, 0, 0, crc, len(data), size, len(title), 0)
        body += head + title + data
    return body + central + _end(len(raw) + len(stored), len(central), len(body))


def _entry(name: bytes, size: int, crc: int, packed_size: int, at: int, method: int) -> bytes:
    fields = (20, 20, 0, method, 0, 0, crc, packed_size, size, len(name), 0, 0, 0, 0, 0, at)
    return _CENTRAL.pack(b"PK\1\2", *fields) + name


def _end(count: int, central: int, at: int) -> bytes:
    return _END.pack(b"PK\5\6", 0, 0, min(count, 65_535), min(count, 65_535), central, at, 0)


@cache
def _crowd() -> bytes:
    """120,000 empty files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for n in range(120_000):
            archive.writestr(zipfile.ZipInfo(f"{n}.npz"), b"")
    return buffer.getvalue()


def _link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


KINDS: dict[str, Kind] = {
    f.__name__: f
    for f in (
        *(ratio_bomb, nested_bomb, overlapping_entries, many_entries, zip_slip),
        *(links_and_devices, tar_links, lying_sizes, colliding_names),
    )
}
