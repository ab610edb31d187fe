"""Tables of numbers beside videos and pictures: CSV with a header, JSON, or JSON lines."""

import csv
import io
import json
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from core.data.episode import EpisodeError
from core.data.readers.archive import printable
from core.data.readers.base import ALIASES
from core.data.readers.files import UNREADABLE, Files, damaged, natural_key

SUFFIXES = (".csv", ".json", ".jsonl")
_MOST_BYTES = 1 << 30
_MOST_COLUMNS = 4096
_JOINTS = ("_", ".", "[", " ")
_SHORT = {"t": "time", "done": "terminated", "frame_index": "frame", "index": "frame"}
"""Names that tables have beyond the usual ones."""


def read_table(files: Files, name: str) -> dict[str, np.ndarray]:
    """Key to (T,) or (T, C) float64. Columns `action_x`, `action_y` also count as one `action`.

    `EpisodeError` says which line is wrong.
    """
    try:
        if name.lower().endswith(".csv"):
            with io.TextIOWrapper(files.open(name), "utf-8-sig", newline="") as text:
                found = _from_csv(text, printable(name))
        else:
            found = _from_json(files.read(name, _MOST_BYTES), name)
    except (*UNREADABLE, UnicodeDecodeError, csv.Error) as error:
        raise damaged(name, error) from error
    if not found:
        raise _wrong(name, "holds no columns of numbers", None)
    return _grouped(found)


def _from_csv(text: io.TextIOWrapper, name: str) -> dict[str, np.ndarray]:
    lines = csv.reader(text)
    header = [h.strip() for h in next(lines, [])]
    if not 0 < len(header) <= _MOST_COLUMNS or len(set(header)) < len(header):
        raise _wrong(name, f"has {len(header)} column names, or one of them twice", None)
    if all(_number(h) is not None for h in header):
        raise _wrong(name, "has no names in its first line", None)
    values = array("d")
    texts: set[int] = set()
    for row, cells in enumerate(lines):
        if len(cells) != len(header):
            if not cells:
                continue
            message = f"line {row + 2} has {len(cells)} cells where {len(header)} have names"
            raise _wrong(name, message, row)
        for column, cell in enumerate(cells):
            number = _number(cell)
            if number is None and row and column not in texts:
                raise _wrong(name, f"line {row + 2} has {cell[:20]!r} among numbers", row)
            if number is None:
                texts.add(column)
            values.append(np.nan if number is None else number)
    rows = np.frombuffer(values, np.float64).reshape(-1, len(header))
    return {h: rows[:, i] for i, h in enumerate(header) if i not in texts}


def _number(cell: str) -> float | None:
    """NaN for an empty cell, None for a text."""
    try:
        return float(cell) if cell.strip() else float("nan")
    except ValueError:
        words = {"true": 1.0, "false": 0.0}
        return words.get(cell.strip().lower())


def _from_json(raw: bytes, name: str) -> dict[str, np.ndarray]:
    try:
        found = _parsed(raw, name)
        if isinstance(found, list):
            keys = list(found[0]) if found and isinstance(found[0], dict) else []
            found = {k: [row[k] for row in found] for k in keys}
        arrays = {str(k): np.asarray(v) for k, v in found.items() if isinstance(v, list)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"is not a table ({type(error).__name__}: {error})"
        raise _wrong(name, message, None) from error
    numbers = {k: v for k, v in arrays.items() if v.dtype.kind in "buif" and v.ndim in (1, 2)}
    return {k: v.astype(np.float64) for k, v in numbers.items()}


def _parsed(raw: bytes, name: str) -> Any:
    if name.lower().endswith(".jsonl"):
        return [json.loads(line) for line in raw.splitlines() if line.strip()]
    return json.loads(raw)


def _grouped(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns, and those of one field side by side under the field's usual name."""
    found = dict(columns)
    for column in columns:
        if column.lower() in _SHORT:
            found.setdefault(_SHORT[column.lower()], columns[column])
    for aliases in ALIASES.values():
        for alias in aliases:
            members = sorted(_members(columns, alias), key=natural_key)
            if members and alias not in found:
                found[alias] = np.column_stack([columns[m] for m in members])
    return found


def _members(columns: Mapping[str, np.ndarray], alias: str) -> Iterator[str]:
    starts = tuple(f"{alias}{joint}" for joint in _JOINTS)
    return (c for c in columns if c.lower().startswith(starts))


def _wrong(name: str, message: str, row: int | None) -> EpisodeError:
    return EpisodeError(
        "wrong_shape",
        printable(name),
        message,
        fix="write one line per frame under a line of names, as in 'time,action_x,action_y'",
        frame=row,
    )
