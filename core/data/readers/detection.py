"""What an upload holds, before anything is read for good: the proposal that a user confirms."""

import numpy as np
from pydantic import BaseModel, ConfigDict

from core.data.dataset import ActionKind
from core.data.episode import EpisodeError
from core.data.readers.base import Column, Field, Fields, Reader, missing_key

_SAMPLED_EPISODES = 4
_SAMPLED_ROWS = 256
_SAMPLED_BYTES = 32 << 20


class ValueRange(BaseModel):
    """Least and greatest value of each column, among the rows that were looked at."""

    model_config = ConfigDict(frozen=True)

    low: tuple[float, ...]
    high: tuple[float, ...]


class Detection(BaseModel):
    """What was recognised and why, what is in it, and what would be read."""

    model_config = ConfigDict(frozen=True)

    format: str | None
    """Name in the registry; None if nothing fits."""
    reasons: dict[str, str]
    """What speaks for the format; if none was found, what each one misses."""
    layout: str = ""
    """The format with its version or dialect, as `lerobot v3.0`."""
    episodes: int = 0
    cameras: tuple[Column, ...] = ()
    columns: tuple[Column, ...] = ()
    """Keys that are not cameras."""
    fields: dict[Field, str] = {}
    """The key that would be read for each field."""
    ranges: dict[Field, ValueRange] = {}
    """Of the fields that would be read; `image` has one column."""
    fps: float | None = None
    action_kind: ActionKind | None = None
    action_kind_why: str = ""
    task: str | None = None
    units: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    problem: str = ""
    """Why the upload cannot be read as it is, with the fix; empty if it can."""


def described(reader: Reader, format: str, reason: str, mapping: dict[Field, str]) -> Detection:
    """The detection of opened logs; reads a few rows of a few episodes."""
    keys = [c.key for c in reader.columns]
    samples, problem = _samples(reader)
    missing = missing_key(reader.fields, keys, mapping) if keys else None
    kind, why = told_kind(reader.meta.action_kind, samples)
    return Detection(
        format=format,
        reasons={format: "; ".join(filter(None, (reason, reader.meta.why)))},
        layout=reader.format,
        episodes=len(reader.episodes),
        cameras=tuple(c for c in reader.columns if c.image),
        columns=tuple(c for c in reader.columns if not c.image),
        fields=dict(reader.fields),
        ranges={f: _range(f, samples) for f in reader.fields if any(f in s for s in samples)},
        fps=reader.meta.fps,
        action_kind=kind,
        action_kind_why=why,
        task=reader.meta.task,
        units=dict(reader.meta.units),
        notes=tuple(n if isinstance(n, str) else n.message for n in reader.notes),
        problem=str(missing or problem),
    )


def _samples(reader: Reader) -> tuple[list[dict[Field, np.ndarray]], str]:
    """First rows of the first readable episodes, and why there are none."""
    found: list[dict[Field, np.ndarray]] = []
    problem = "" if reader.episodes else "there are no episodes"
    for ref in reader.episodes[:_SAMPLED_EPISODES]:
        try:
            with reader.open(ref) as fields:
                found.append({f: _head(fields, f) for f in fields})
        except EpisodeError as error:
            problem = problem or f"{ref.file}: {error}"
    return found, "" if found else problem


def _head(fields: Fields, field: Field) -> np.ndarray:
    rows = fields[field]
    row_bytes = int(np.prod(rows.shape[1:], dtype=object)) * rows.rows.dtype.itemsize
    most = min(_SAMPLED_ROWS, max(1, _SAMPLED_BYTES // max(1, row_bytes)))
    return rows.read(0, min(len(rows), most))


def _range(field: Field, samples: list[dict[Field, np.ndarray]]) -> ValueRange:
    found = [s[field] for s in samples if field in s and s[field].size]
    flat = [s.reshape(-1, 1) if field == "image" else s.reshape(len(s), -1) for s in found]
    if len({f.shape[1] for f in flat}) != 1:
        return ValueRange(low=(), high=())
    whole = [part for f in flat if len(part := f[_finite(f)])]
    if not whole:
        return ValueRange(low=(), high=())
    low = np.min([f.min(0) for f in whole], 0).astype(np.float64)
    high = np.max([f.max(0) for f in whole], 0).astype(np.float64)
    return ValueRange(low=tuple(low.tolist()), high=tuple(high.tolist()))


def _finite(rows: np.ndarray) -> np.ndarray:
    """Which rows (N, C) hold numbers only; the report tells of the others."""
    found: np.ndarray = (
        np.isfinite(rows).all(1) if rows.dtype.kind == "f" else np.ones(len(rows), bool)
    )
    return found


def told_kind(
    said: ActionKind | None, samples: list[dict[Field, np.ndarray]]
) -> tuple[ActionKind | None, str]:
    """What the logs say, else what fits better: action = next state, or action = its change.

    Compared on the columns that action and state share, after a straight-line fit for the units.
    """
    if said:
        return said, "the logs say so"
    pairs = [(s["action"], s["state"]) for s in samples if {"action", "state"} <= s.keys()]
    fits: dict[ActionKind, list[float]] = {"absolute": [], "delta": []}
    for action, state in pairs:
        steps = min(len(action), len(state) - 1)
        width = min(np.prod(action.shape[1:], dtype=int), np.prod(state.shape[1:], dtype=int))
        a = action[:steps].reshape(steps, -1)[:, :width].astype(np.float64)
        s = state[: steps + 1].reshape(steps + 1, -1)[:, :width].astype(np.float64)
        whole = _finite(a) & _finite(s[1:]) & _finite(s[:-1])
        for column in range(width):
            fits["absolute"].append(_correlation(a[whole, column], s[1:][whole, column]))
            fits["delta"].append(_correlation(a[whole, column], np.diff(s[:, column])[whole]))
    if not fits["delta"]:
        return None, "without a state there is nothing to compare actions with"
    absolute, delta = (float(np.mean(fits[k])) for k in ("absolute", "delta"))
    if max(absolute, delta) < _CLEAR or abs(absolute - delta) < _APART:
        return (
            None,
            f"actions follow neither the next state ({absolute:.2f}) nor its change ({delta:.2f}) clearly",
        )
    kind: ActionKind = "absolute" if absolute > delta else "delta"
    return (
        kind,
        f"actions correlate {absolute:.2f} with the next state, {delta:.2f} with its change",
    )


_CLEAR = 0.5
_APART = 0.1


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
