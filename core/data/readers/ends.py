"""Episodes that lie one after the other in flat arrays."""

from collections.abc import Iterable

import numpy as np

from core.data.episode import EpisodeError
from core.data.readers.base import Rows

_MOST_EPISODES = 1_000_000


def episode_rows(ends: np.ndarray, num_rows: int) -> tuple[list[tuple[int, int]], list[str]]:
    """Row range of each episode from its exclusive end, and notes on rows that belong to none."""
    if ends.ndim != 1 or ends.dtype.kind not in "ui" or not 0 < len(ends) <= _MOST_EPISODES:
        raise _wrong(f"has shape {ends.shape} and type {ends.dtype}")
    stops = ends.astype(np.int64).tolist()
    starts = [0, *stops[:-1]]
    for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        if stop < start or stop > num_rows:
            raise _wrong(
                f"puts the end of episode {i} at row {stop} (of {num_rows}, after {start})"
            )
    rest = num_rows - stops[-1]
    notes = [f"{rest} rows after the last episode are left out"] if rest else []
    return list(zip(starts, stops, strict=True)), notes


def same_rows(arrays: Iterable[tuple[str, Rows]]) -> int:
    """Number of rows that all arrays have; `EpisodeError` if they differ."""
    sizes = {name: rows.shape[0] for name, rows in arrays}
    if len(set(sizes.values())) > 1:
        raise EpisodeError(
            "length_mismatch",
            "episodes",
            f"the arrays differ in rows: {sizes}",
            fix="store one row of every array per frame",
        )
    return next(iter(sizes.values()))


def _wrong(message: str) -> EpisodeError:
    return EpisodeError(
        "wrong_ends",
        "episode_ends",
        message,
        fix="store the row after the last one of each episode, as rising whole numbers",
    )
