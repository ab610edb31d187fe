"""ROS messages to numbers: the types that a bag describes, walked without running any code.

rosbags' own type store turns message definitions into Python code and executes it, and definitions
come from strangers. Here its parsers give the tree of a type, and the bytes are read along it.
"""

import struct
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg
from rosbags.typesys import get_typestore as _store
from rosbags.typesys.msg import normalize_msgtype

Wire = Literal["cdr", "ros1"]
Message = dict[str, Any]
"""Field to number, array of numbers, text, message or list of messages."""
Types = Mapping[str, tuple[Any, Any]]

_MOST_TEXT = 1 << 20
_MOST_DEPTH = 32
_MOST_ITEMS = 1 << 16
"""Messages in a list; a picture's bytes are one array."""
_NUMBERS = {
    "bool": "u1",
    "byte": "u1",
    "char": "u1",
    "octet": "u1",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "int64": "i8",
    "uint64": "u8",
    "float32": "f4",
    "float64": "f8",
}
_TIME: tuple[Any, Any] = (
    [],
    [("sec", (Nodetype.BASE, ("uint32", 0))), ("nanosec", (Nodetype.BASE, ("uint32", 0)))],
)
_TIMES: dict[str, tuple[Any, Any]] = {
    f"{package}/msg/{name}": _TIME
    for package, name in (("builtin_interfaces", "Time"), ("builtin_interfaces", "Duration"))
}


class MessageError(ValueError):
    """A definition or a message that cannot be read."""


def types_of(definition: str, name: str, language: Literal["msg", "idl"]) -> Types:
    """All types of a definition with its dependencies; `MessageError` if it is not one."""
    if len(definition) > _MOST_TEXT:
        raise MessageError("its definition is too long")
    try:
        if language == "msg":
            found = get_types_from_msg(definition, name)
        else:
            lines = (x for x in definition.splitlines() if not x.startswith(("=====", "IDL: ")))
            found = get_types_from_idl("\n".join(lines))
    except (TypesysError, ValueError, AssertionError, RecursionError, KeyError) as error:
        raise MessageError(f"its definition cannot be parsed ({str(error)[:80]!r})") from error
    types = {**_TIMES, **found}
    _check_described(types, normalize_msgtype(name))
    return types


def _check_described(types: Types, name: str) -> None:
    """`MessageError` if a part of a type is not described."""
    open_names, seen = [name], {name}
    while open_names:
        at = open_names.pop()
        if at not in types:
            raise MessageError(f"its part {at[:80]} is not described")
        for _, desc in types[at][1]:
            inner = desc[1][0] if desc[0] in (Nodetype.ARRAY, Nodetype.SEQUENCE) else desc
            if inner[0] == Nodetype.NAME and inner[1] not in seen:
                seen.add(inner[1])
                open_names.append(inner[1])


def usual_types() -> Types:
    """Types that ROS 2 Humble ships, for bags that do not describe theirs."""
    return {**_store(Stores.ROS2_HUMBLE).fielddefs, **_TIMES}


def decode(types: Types, name: str, data: bytes, wire: Wire) -> Message:
    """One message; `MessageError` if the bytes do not fit the type."""
    if wire == "cdr":
        if len(data) < 4 or data[0] != 0 or data[1] not in (0, 1):
            raise MessageError("is not in plain CDR")
        reader = _Reader(types, data[4:], "<" if data[1] else ">", aligned=True)
    else:
        reader = _Reader(types, data, "<", aligned=False)
    try:
        return reader.message(normalize_msgtype(name), 0)
    except (struct.error, ValueError, KeyError, IndexError, TypeError, UnicodeDecodeError) as error:
        if isinstance(error, MessageError):
            raise
        raise MessageError(f"does not fit its type {name} ({error})") from error


class _Reader:
    """Reads along a type; CDR aligns a number to its size, ROS 1 packs without gaps."""

    def __init__(self, types: Types, data: bytes, order: str, *, aligned: bool) -> None:
        self._types = types
        self._data = data
        self._order = order
        self._aligned = aligned
        self._at = 0

    def message(self, name: str, depth: int) -> Message:
        if depth > _MOST_DEPTH:
            raise MessageError("nests too deep")
        fields = self._types[name][1]
        if not fields and self._aligned:
            self._at += 1  # the stand-in that ROS 2 puts into an empty message
        return {field: self._value(desc, depth) for field, desc in fields}

    def _value(self, desc: Any, depth: int) -> Any:
        kind, what = desc
        if kind == Nodetype.BASE:
            return self._text() if "string" in what[0] else self._numbers(what[0], 1)[0]
        if kind == Nodetype.NAME:
            return self.message(what, depth + 1)
        inner, size = what
        count = size if kind == Nodetype.ARRAY else int(self._numbers("uint32", 1)[0])
        if inner[0] == Nodetype.BASE and "string" not in inner[1][0]:
            return self._numbers(inner[1][0], count)
        if count > _MOST_ITEMS:
            raise MessageError(f"holds a list of {count}")
        return [self._value(inner, depth + 1) for _ in range(count)]

    def _numbers(self, name: str, count: int) -> np.ndarray:
        dtype = np.dtype(self._order + _NUMBERS[name])
        if self._aligned and count:
            self._at += -self._at % dtype.itemsize
        found = np.frombuffer(self._data, dtype, count, self._at)
        self._at += count * dtype.itemsize
        return found

    def _text(self) -> str:
        count = int(self._numbers("uint32", 1)[0])
        if self._at + count > len(self._data):
            raise MessageError("ends inside a text")
        raw = self._data[self._at : self._at + count]
        self._at += count
        return raw.rstrip(b"\0").decode("utf-8", "replace")
