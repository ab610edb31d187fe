"""Videos, pictures and recordings that point elsewhere, promise too much or have no end."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import zstandard
from mcap.writer import CompressionType, Writer

from tests.data import bags
from tests.malformed.seeds import Case, Kind, flipped, seed, with_first

_PLAYLISTS = (
    "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/canary\n",
    "ffconcat version 1.0\nfile '/etc/passwd'\n",
    "ffconcat version 1.0\nfile 'concat:/etc/passwd|/etc/group'\n",
    "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    '<?xml version="1.0"?><MPD><BaseURL>file:///etc/</BaseURL></MPD>',
)


def playlist(rng: np.random.Generator, n: int) -> Case:
    return with_first("video", ".mp4", lambda _: _PLAYLISTS[n % len(_PLAYLISTS)].encode())


def data_reference(rng: np.random.Generator, n: int) -> Case:
    """An mp4 that says that its frames are in another file."""
    target = (b"file:///etc/passwd\0", b"http://127.0.0.1:9/\0", b"/dev/zero\0", b"")[n % 4]

    def change(data: bytes) -> bytes:
        kind = (b"url ", b"alis", b"urn ")[n // 4 % 3]
        box = struct.pack(">L4sL", 12 + len(target), kind, 0) + target
        at = data.find(b"url ") - 4
        changed = bytearray(data[:at] + box + data[at + 12 :])
        for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
            start = data.find(parent) - 4
            struct.pack_into(
                ">L", changed, start, struct.unpack_from(">L", data, start)[0] + len(target)
            )
        return bytes(changed)

    return with_first("video", ".mp4", change)


def video_header(rng: np.random.Generator, n: int) -> Case:
    """65,535 pixels a side, 10^9 frames a second, 2^32 samples."""

    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        box, at, width, value = (
            (b"avc1", 28, ">HH", (65_535, 65_535)),
            (b"stsz", 12, ">L", (0xFFFFFFFF,)),
            (b"stts", 12, ">LL", (0xFFFFFFFF, 1)),
            (b"mdhd", 16, ">LL", (10**9, 0xFFFFFFFF)),
            (b"mdhd", 16, ">L", (0,)),
            (b"stsc", 12, ">LLL", (1, 0xFFFFFFFF, 1)),
            (b"stco", 12, ">L", (0xFFFFFFF0,)),
            (b"mvhd", 16, ">LL", (1, 0xFFFFFFFF)),
            (b"moov", -4, ">L", (0xFFFFFFFF,)),
            (b"avcC", 4, ">L", (0xFFFFFFFF,)),
        )[n % 10]
        struct.pack_into(width, changed, data.find(box) + at, *value)
        return bytes(changed)

    return with_first("video", ".mp4", change)


def video_stream(rng: np.random.Generator, n: int) -> Case:
    """Random bytes in the packed frames, or in the boxes that describe them."""

    def change(data: bytes) -> bytes:
        start = data.find(b"mdat") if n % 2 else data.find(b"moov")
        return flipped(data, rng, start + 4, len(data), 4 + 4 * n)

    return with_first("video", ".mp4", change)


def huge_picture(rng: np.random.Generator, n: int) -> Case:
    """50,000 pixels a side by the header, or behind a header that says 16."""
    small = 16
    match n % 4:
        case 0:
            data = _png(50_000 - n, 50_000, _rows())
        case 1:
            data = _png(small, small, _rows())
        case 2:
            data = _jpeg(65_535, 65_535 - n)
        case _:
            data = _png(4096, 4096, b"") if n % 8 == 3 else _png(0, 2**31 - 1, b"")
    return with_first("frames", ".png", lambda _: data)


def endless_gif(rng: np.random.Generator, n: int) -> Case:
    """A million frames, under the names of what is read."""
    if n % 3 == 2:
        return Case(("logs.gif", "logs.mp4", "logs.png")[n % 9 // 3], _gif())
    format, suffix = (("frames", ".png"), ("video", ".mp4"))[n % 3]
    return with_first(format, suffix, lambda _: _gif())


def broken_picture(rng: np.random.Generator, n: int) -> Case:
    return with_first("frames", ".png", lambda d: flipped(d, rng, 8, len(d), 1 + n))


def recording_lengths(rng: np.random.Generator, n: int) -> Case:
    """Lengths of records as of mcap#1198, in all three kinds of recordings."""
    lies = (8_200_000_000_000_000_000, 2**63, 2**64 - 1, 2**32, 0)[n % 5]
    format = ("mcap", "mcap", "ros1", "ros2")[n % 4]
    name = {"mcap": "drive.mcap", "ros1": "drive.bag", "ros2": "drive.db3"}[format]
    data = bytearray(seed(format))
    if format == "mcap":
        starts = list(_records(bytes(data)))
        at = starts[int(rng.integers(len(starts)))] + 1
        struct.pack_into("<Q", data, at, lies)
    elif format == "ros1":
        at = 13 if n % 3 else int(rng.integers(13, len(data) - 8))
        struct.pack_into("<L", data, at, lies & 0xFFFFFFFF)
    else:
        data = bytearray(flipped(bytes(data), rng, 16, 100, 8) if n % 8 == 3 else data)
        data = bytearray(flipped(bytes(data), rng, 100, len(data), 200))
    return Case(name, bytes(data))


def recording_bomb(rng: np.random.Generator, n: int) -> Case:
    """Chunks of zeros, packed ten thousand times; some say so and some do not."""
    size = (200 << 20) if n % 2 else (900 << 20)
    packed_zeros = _zstd_zeros(size)
    told = size if n % 3 else 1000
    body = (
        struct.pack("<QQQL", 0, 0, told, 0) + _text("zstd") + struct.pack("<Q", len(packed_zeros))
    )
    data = seed("mcap")
    first = next(at for at in _records(data) if data[at] == 6)
    chunk = struct.pack("<BQ", 6, len(body) + len(packed_zeros)) + body + packed_zeros
    return Case("drive.mcap", data[:first] + chunk + (data[first:] if n % 4 < 2 else b""))


def no_footer(rng: np.random.Generator, n: int) -> Case:
    """A recorder that was killed, somewhere."""
    format, name = (("mcap", "drive.mcap"), ("ros1", "drive.bag"), ("ros2", "drive.db3"))[n % 3]
    data = seed(format)
    stop = int(len(data) * (0.02 + 0.9 * rng.random())) if format != "ros2" else 100 + 512 * n
    return Case(name, data[:stop])


def clocks(rng: np.random.Generator, n: int) -> Case:
    """Time that rolls over, stands still or runs back (as of rosbag2#2389)."""
    last = 2**64 - 1
    times = (
        [(last - 20 + i) % 2**64 for i in range(40)],
        [(2**63 - 10 + i) for i in range(40)],
        [(2**32 - 20 + i) % 2**32 for i in range(40)],
        [10**18] * 40,
        [10**18 - i * 10**9 for i in range(40)],
        [0, last] * 20,
    )[n % 6]
    return Case("drive.mcap", _json_mcap(times, lambda i: {"linear": i, "angular": -i}))


def odd_messages(rng: np.random.Generator, n: int) -> Case:
    """JSON messages without bottom, without keys or with texts for numbers."""
    text = (
        "[" * 100_000,
        '{"linear": 1e400, "angular": NaN}',
        '{"linear": "x"}',
        "null",
        '{"linear": {"linear": {"linear": 1}}}',
        '{"linear": ' + "9" * 5000 + "}",
        "{",
        '{"linear": [1, [2, [3]]]}',
    )[n % 8]
    times = [10**18 + i * 10**8 for i in range(40)]
    return Case("drive.mcap", _json_mcap(times, lambda i: text))


def _json_mcap(times: list[int], told: Callable[[int], object]) -> bytes:
    """Pictures of the usual kind, commands as JSON, at given times."""
    buffer = io.BytesIO()
    writer = Writer(buffer, compression=CompressionType.NONE)
    writer.start("ros2")
    text, _ = bags.ROS2.generate_msgdef(bags.IMAGE, ros_version=2)
    schema = writer.register_schema(bags.IMAGE, "ros2msg", text.encode())
    camera = writer.register_channel("/camera", "cdr", schema)
    command = writer.register_channel(
        "/cmd_vel", "json", writer.register_schema("t", "jsonschema", b"{}")
    )
    frames = bags.pictures(0, len(times))
    for i, time in enumerate(times):
        line = bags.Line("/camera", bags.IMAGE, i / 10, {"picture": frames[i]})
        data = bytes(bags.ROS2.serialize_cdr(bags.message(bags.ROS2, line), bags.IMAGE))
        writer.add_message(camera, time, data, time)
        found = told(i)
        spoken = found if isinstance(found, str) else json.dumps(found)
        writer.add_message(command, time, spoken.encode(), time)
    writer.finish()
    return buffer.getvalue()


def _records(data: bytes) -> list[int]:
    """Where the records of an MCAP file start."""
    at, found = 8, []
    while at + 9 < len(data) - 8:
        found.append(at)
        at += 9 + struct.unpack_from("<Q", data, at + 1)[0]
    return found


def _text(value: str) -> bytes:
    return struct.pack("<L", len(value)) + value.encode()


@cache
def _zstd_zeros(size: int) -> bytes:
    packer = zstandard.ZstdCompressor(level=3).compressobj()
    parts = [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, packer.flush()])


def _png(width: int, height: int, rows: bytes) -> bytes:
    def part(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
        )

    head = struct.pack(">LLBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", rows) + part(b"IEND", b"")


@cache
def _rows() -> bytes:
    """300 MB of zeros, deflated."""
    packer = zlib.compressobj(1)
    parts = [packer.compress(bytes(1 << 20)) for _ in range(300)]
    return b"".join([*parts, packer.flush()])


def _jpeg(width: int, height: int) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 3) + b"\1\x22\0\2\x11\1\3\x11\1"
    size = struct.pack(">H", len(frame) + 2)
    return b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xc0" + size + frame + b"\xff\xd9"


@cache
def _gif() -> bytes:
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    return b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * 10**6 + b"\x3b"


KINDS: dict[str, Kind] = {
    f.__name__: f
    for f in (
        *(playlist, data_reference, video_header, video_stream, huge_picture, endless_gif),
        *(broken_picture, recording_lengths, recording_bomb, no_footer, clocks, odd_messages),
    )
}
