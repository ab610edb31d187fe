"""TFRecord files and the examples in them, read without TensorFlow.

Framing: https://www.tensorflow.org/tutorials/load_data/tfrecord. Example: tensorflow/core/example in
protocol buffers' wire format.
"""

import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

import google_crc32c
import numpy as np

from core.data.episode import EpisodeError
from core.data.readers.files import damaged

Value = list[bytes] | np.ndarray
"""Byte strings, or numbers: float32 or int64."""
MOST_RECORD_BYTES = 1 << 30
_MOST_RECORDS = 1_000_000
_HEADER, _FOOTER = struct.Struct("<QI"), struct.Struct("<I")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_FIX = "write the shard again and upload it again"


class Place(NamedTuple):
    """Where the bytes of a record lie in a file."""

    start: int
    size: int


def places(file: IO[bytes], name: str) -> tuple[list[Place], EpisodeError | None]:
    """All records of a file, and what is wrong where it ends early."""
    found: list[Place] = []
    end = file.seek(0, 2)
    at = 0
    while at < end:
        file.seek(at)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return found, _cut(name, len(found))
        size, checksum = _HEADER.unpack(header)
        if checksum != _masked(header[:8]):
            return found, damaged(name, f"record {len(found)} has a damaged header")
        if size > MOST_RECORD_BYTES or len(found) >= _MOST_RECORDS:
            return found, damaged(name, f"record {len(found)} has {size} bytes, more than 1 GiB")
        if at + _HEADER.size + size + _FOOTER.size > end:
            return found, _cut(name, len(found))
        found.append(Place(at + _HEADER.size, size))
        at += _HEADER.size + size + _FOOTER.size
    return found, None


def read_example(file: IO[bytes], place: Place, name: str) -> dict[str, Value]:
    """The features of the example in a record; `EpisodeError` if it is damaged."""
    try:
        file.seek(place.start)
        data, checksum = file.read(place.size), file.read(_FOOTER.size)
        if len(data) != place.size or _FOOTER.unpack(checksum)[0] != _masked(data):
            raise ValueError("its checksum is wrong")
        return parsed_example(data)
    except (ValueError, struct.error, OSError) as error:
        raise damaged(name, error) from error


def parsed_example(data: bytes) -> dict[str, Value]:
    """Features by name; `ValueError` for what is no example."""
    found: dict[str, Value] = {}
    for features in _messages(memoryview(data), 1):
        for entry in _messages(features, 1):
            name, value = "", None
            for number, part in _fields(entry):
                if number == 1 and isinstance(part, memoryview):
                    name = bytes(part).decode("utf-8", "replace")
                elif number == 2 and isinstance(part, memoryview):
                    value = _feature(part)
            if value is not None:
                found[name] = value
    return found


def _feature(data: memoryview) -> Value | None:
    for kind, held in _fields(data):
        if not isinstance(held, memoryview):
            continue
        if kind == _BYTES_LIST:
            return [bytes(one) for one in _messages(held, 1)]
        if kind in (_FLOAT_LIST, _INT64_LIST):
            dtype = "<f4" if kind == _FLOAT_LIST else "<i8"
            pieces = [_numbers(part, kind) for number, part in _fields(held) if number == 1]
            return np.concatenate([np.zeros(0, dtype), *pieces])
    return None


def _numbers(part: "memoryview | int", kind: int) -> np.ndarray:
    """One value, or many that are packed."""
    if isinstance(part, int):
        return np.array([_signed(part)], "<i8")
    if kind == _FLOAT_LIST:
        return np.frombuffer(part, "<f4")
    small = np.frombuffer(part, np.uint8)
    if (small < 0x80).all():  # flags and bytes below 128 take a byte each
        return small.astype("<i8")
    values, at = [], 0
    while at < len(part):
        value, at = _varint(part, at)
        values.append(_signed(value))
    return np.array(values, "<i8")


def _messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    """The length-delimited fields of one number."""
    for number, part in _fields(data):
        if number == wanted and isinstance(part, memoryview):
            yield part


def _fields(data: memoryview) -> "Iterator[tuple[int, memoryview | int]]":
    """Number and value of each field of a message; `ValueError` if it ends inside one."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"a field has wire type {kind}")
        if size > len(data) - at:
            raise ValueError("a field is longer than its message")
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of up to 64 bits and where it ends."""
    value = 0
    for i in range(10):
        if at + i >= len(data):
            raise ValueError("a number is cut off")
        byte = data[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + i + 1
    raise ValueError("a number has more than 64 bits")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _masked(data: bytes) -> int:
    """The checksum of TFRecord: CRC-32C, turned and shifted."""
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _cut(name: str, whole: int) -> EpisodeError:
    return EpisodeError("truncated", name, f"ends early, after {whole} whole records", fix=_FIX)
