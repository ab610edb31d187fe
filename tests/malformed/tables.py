"""Parquet, JSON and CSV with broken insides, without end, or without bottom."""

import io
import json
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.malformed.seeds import Case, Kind, entries, flipped, packed, seed, with_first


def parquet_footer(rng: np.random.Generator, n: int) -> Case:
    def change(data: bytes) -> bytes:
        length = struct.unpack_from("<L", data, len(data) - 8)[0]
        start = len(data) - 8 - length
        match n % 4:
            case 0:
                lies = (0, 1, length + 1, 0x7FFFFFFF, 0xFFFFFFFF)[n // 4 % 5]
                return data[:-8] + struct.pack("<L", lies) + data[-4:]
            case 1:
                return data[:start] + rng.bytes(length) + data[-8:]
            case 2:
                return flipped(data, rng, start, len(data) - 8, 1 + n)
            case _:
                return data[: start + int(rng.integers(length))] + data[-8:]

    return with_first("lerobot", ".parquet", change) if n % 3 else _data(change)


def parquet_pages(rng: np.random.Generator, n: int) -> Case:
    """Lengths, offsets and encodings inside the pages."""

    def change(data: bytes) -> bytes:
        length = struct.unpack_from("<L", data, len(data) - 8)[0]
        return flipped(data, rng, 4, len(data) - 8 - length, 1 + 3 * n)

    return _data(change)


def parquet_bomb(rng: np.random.Generator, n: int) -> Case:
    """A few kilobytes that say millions of rows, or the same picture again and again."""
    return _data(lambda _: _same_picture() if n % 2 else _many_rows(1 + n // 2 % 3))


def parquet_nesting(rng: np.random.Generator, n: int) -> Case:
    depth = 2 + 20 * n

    def change(data: bytes) -> bytes:
        table = pq.read_table(io.BytesIO(data))
        kind, value = pa.float32(), 1.0
        nested: Any = value
        for _ in range(depth):
            kind, nested = pa.list_(kind), [nested]
        column = pa.array([nested] * len(table), kind)
        at = table.schema.get_field_index("action")
        sink = io.BytesIO()
        pq.write_table(table.set_column(at, "action", column), sink)
        return sink.getvalue()

    return _data(change)


def rlds_records(rng: np.random.Generator, n: int) -> Case:
    """Records with wrong lengths and insides, and checksums that are right."""
    files = entries(seed("rlds"))
    name = next(f for f in sorted(files) if ".tfrecord" in f)
    data = files[name]
    size = struct.unpack_from("<Q", data)[0]
    body, rest = data[12 : 12 + size], data[16 + size :]
    match n % 4:
        case 0:
            lies = (0, 2**63, 2**64 - 1, size + 1, 1 << 30)[n // 4 % 5]
            head = struct.pack("<Q", lies)
            files[name] = head + _masked(head) + data[12:]
        case 1:
            files[name] = _record(flipped(body, rng, 0, 200, 1 + n)) + rest
        case 2:
            files[name] = _record(flipped(body, rng, 0, len(body), 4 * n)) + rest
        case _:
            deep = b"".join(b"\x0a" + b"\xff" * n + b"\x7f" for _ in range(5000))
            files[name] = (
                _record((deep, b"\x0a\xff\xff\xff\xff\x0f", rng.bytes(999))[n // 4 % 3]) + rest
            )
    return Case("logs.zip", packed(files))


def deep_json(rng: np.random.Generator, n: int) -> Case:
    """A hundred thousand brackets where a table, an index or a note is read."""
    opening, closing = (("[", "]"), ('{"a":', "}"))[n % 2]
    depth = 10**5 if n % 3 else 990 + n
    text = (opening * depth + "1" + closing * depth * (n % 4 > 0)).encode()
    match n % 5:
        case 0:
            return with_first("frames", ".json", lambda _: text)
        case 1:
            return with_first("lerobot", "info.json", lambda _: text)
        case 2:
            return with_first("zarr", ".zarray", lambda _: text)
        case 3:
            return with_first("frames", ".json", lambda _: b'{"action": ' + text + b"}")
        case _:
            files = entries(seed("npz"))
            return Case("logs.zip", packed({**files, "logs/meta.json": text}))


def odd_numbers(rng: np.random.Generator, n: int) -> Case:
    """NaN, 1e400, numbers of ten thousand digits, and texts where numbers belong."""
    value = ("NaN", "1e400", "-Infinity", "9" * 10_000, '"1"', "null", "1e-400", "true")[n % 8]
    match n % 3:
        case 0:
            rows = f'{{"action": [[1, {value}]]}}'.replace("]]", "]" + ", [1, 2]" * 11 + "]")
            return with_first("frames", ".json", lambda _: rows.encode())
        case 1:
            return with_first("lerobot", "info.json", lambda d: _with_fps(d, value))
        case _:
            return with_first("video", ".csv", lambda d: _with_cell(d, value.strip('"')))


def csv_shapes(rng: np.random.Generator, n: int) -> Case:
    """Ragged lines, millions of commas, quotes that never end, other encodings."""

    def change(data: bytes) -> bytes:
        return (
            data + b"1,2\n",
            data.replace(b"\n", b",\n", 3),
            b"a," * 1_000_000 + b"\n1\n",
            b'"' + data,
            data.decode().encode("utf-16"),
            b"action_x\n" + b"1" * 10_000_000,
            data.replace(b"action_x", b"action_y"),
            b"\0" * 1000 + data,
            b"",
            data.split(b"\n")[0],
        )[n % 10]

    return with_first("video", ".csv", change)


def _record(body: bytes) -> bytes:
    head = struct.pack("<Q", len(body))
    return head + _masked(head) + body + _masked(body)


def _masked(data: bytes) -> bytes:
    """The checksum of a TFRecord."""
    value = google_crc32c.value(data)
    return struct.pack("<L", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _data(change: Callable[[bytes], bytes]) -> Case:
    """A LeRobot dataset with a changed first data file."""
    files = entries(seed("lerobot"))
    name = next(n for n in sorted(files) if n.startswith("data/") and n.endswith(".parquet"))
    files[name] = change(files[name])
    return Case("logs.zip", packed(files))


@cache
def _original() -> pa.Table:
    files = entries(seed("lerobot"))
    name = next(n for n in sorted(files) if n.startswith("data/") and n.endswith(".parquet"))
    return pq.read_table(io.BytesIO(files[name]))


@cache
def _many_rows(groups: int) -> bytes:
    """The first row, a million times in each row group."""
    first = _original().slice(0, 1)
    wide = first.select([c for c in first.column_names if not c.startswith("observation.images")])
    rows = wide.take(pa.array(np.zeros(1_000_000, np.int64)))
    pictures = [c for c in first.column_names if c not in wide.column_names]
    for name in pictures:
        column = pa.nulls(len(rows), first.schema.field(name).type)
        rows = rows.append_column(name, column)
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, rows.schema, compression="zstd") as writer:
        for _ in range(groups):
            writer.write_table(rows)
    return sink.getvalue()


@cache
def _same_picture() -> bytes:
    """Every picture is the same 800 kB, stored once for every 200 rows."""
    table = _original()
    name = next(c for c in table.column_names if c.startswith("observation.images"))
    large = table.column(name)[0].as_py()["bytes"] + bytes(800_000)
    many = table.take(pa.array(np.arange(200) % len(table)))
    column = pa.array([{"bytes": large, "path": "0.png"}] * 200, table.schema.field(name).type)
    at = many.schema.get_field_index(name)
    rows = many.set_column(at, name, column)
    sink = io.BytesIO()
    with pq.ParquetWriter(
        sink, rows.schema, compression="zstd", dictionary_pagesize_limit=1 << 24
    ) as writer:
        for _ in range(20):
            writer.write_table(rows)
    return sink.getvalue()


def _with_fps(data: bytes, value: str) -> bytes:
    info = json.loads(data)
    info["fps"] = "VALUE"
    return json.dumps(info).replace('"VALUE"', value).encode()


def _with_cell(data: bytes, value: str) -> bytes:
    lines = data.split(b"\n")
    cells = lines[2].split(b",")
    cells[0] = value.encode()
    lines[2] = b",".join(cells)
    return b"\n".join(lines)


KINDS: dict[str, Kind] = {
    f.__name__: f
    for f in (
        *(parquet_footer, parquet_pages, parquet_bomb, parquet_nesting, rlds_records),
        *(deep_json, odd_numbers, csv_shapes),
    )
}
