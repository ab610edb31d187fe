"""The numbers of a message as one row, and what each of them is."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from core.data.readers.ros_messages import Message

_UNREAD = frozenset({"header", "layout", "stamp", "covariance", "data_offset", "time_from_start"})
"""Parts of a message that say when or how, or how sure, and not what."""
_MOST_VALUES = 4096
_MOST_ITEMS = 64
_UNITS = {
    "Twist": "m/s and rad/s (REP 103)",
    "TwistStamped": "m/s and rad/s (REP 103)",
    "Pose": "m and quaternion (REP 103)",
    "PoseStamped": "m and quaternion (REP 103)",
    "JointState": "rad, or m for sliding joints (REP 103)",
}


def leaves(message: Message) -> dict[str, np.ndarray]:
    """Path to the numbers there, in the order of the type: `linear.x` to one, `position` to n."""
    return dict(_walk(message, ""))


def chosen(found: dict[str, np.ndarray], path: str) -> list[str]:
    """The leaves at or under a path; all of them for an empty one."""
    return [p for p in found if not path or p == path or p.startswith((f"{path}.", f"{path}["))]


def row(found: dict[str, np.ndarray], paths: list[str]) -> np.ndarray:
    """(C,) numbers at some leaves; `KeyError` if one is missing."""
    return np.concatenate([found[p] for p in paths]) if paths else np.empty(0)


def names(found: dict[str, np.ndarray], paths: list[str]) -> tuple[str, ...]:
    """What each number of a row is."""
    return tuple(
        p if len(found[p]) == 1 else f"{p}[{i}]" for p in paths for i in range(len(found[p]))
    )


def unit_of(type_name: str, path: str) -> str | None:
    """Unit of a standard message by convention, if it has one."""
    kind = type_name.rsplit("/", 1)[-1]
    return _UNITS.get(kind) if kind != "JointState" or path == "position" else None


def stamp_ns(message: Message) -> int:
    """When the message was stamped by its sender, in ns; 0 if it does not say."""
    header = message.get("header")
    stamp = header.get("stamp") if isinstance(header, dict) else None
    if not isinstance(stamp, dict):
        return 0
    try:
        return int(stamp["sec"]) * 10**9 + int(stamp.get("nanosec") or stamp.get("nsec") or 0)
    except (KeyError, TypeError, ValueError):
        return 0


def _walk(value: Any, path: str) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in _UNREAD:
                yield from _walk(part, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(v, dict) for v in value):
        for i, part in enumerate(value[:_MOST_ITEMS]):
            yield from _walk(part, f"{path}[{i}]")
    elif not isinstance(value, str | bytes | None):
        numbers = np.atleast_1d(np.asarray(value))
        if numbers.ndim == 1 and numbers.dtype.kind in "buif" and numbers.size <= _MOST_VALUES:
            yield path, numbers.astype(np.float64)
