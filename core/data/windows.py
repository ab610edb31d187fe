"""Fixed-length windows of consecutive rows, by step number."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from core.data.dataset import Dataset, Split


class Windows:
    """All windows of `length` rows that lie inside one episode of a split.

    A batch holds frames (B, L, H, W, 3) u8, actions (B, L, A) f32 and, where the dataset has
    them, state (B, L, S) f32, reward (B, L) f32, terminated and success (B, L) u8. The action and
    the reward in the last row of a window lead out of it; at the end of an episode they are zero.
    """

    def __init__(self, dataset: Dataset, split: Split, length: int, seed: int = 0) -> None:
        episodes = dataset.of_split(split)
        counts = np.array([max(0, e.length - length + 1) for e in episodes], dtype=np.int64)
        if length < 1 or not counts.sum():
            longest = max((e.length for e in episodes), default=0)
            raise ValueError(
                f"no {split} episode holds a window of {length} frames: the longest of "
                f"{len(episodes)} has {longest}; use shorter windows or longer episodes"
            )
        self.length = length
        self.seed = seed
        self._ends = np.cumsum(counts)
        # Adding the window's number to its episode's shift gives its first row.
        self._shifts = np.array([e.start for e in episodes], dtype=np.int64) - self._ends + counts
        # Plain arrays: indexing np.memmap costs a Python call per result.
        self._fields = {f: np.asarray(v) for f, v in dataset.fields().items()}
        self._offsets = np.arange(length)
        self._landmarks = sorted({0, length // 2, length - 1})

    def __len__(self) -> int:
        """Number of different windows."""
        return int(self._ends[-1])

    def batch(self, step: int, batch_size: int, liveliest_of: int = 1) -> dict[str, np.ndarray]:
        """Windows drawn uniformly, with replacement; depends on (seed, step) only.

        `liveliest_of` n: of n drawn for each place, the one in which most moves is kept. In play
        most frames show a robot on its way and nothing that it moves.
        """
        count = batch_size * liveliest_of
        numbers = np.random.default_rng((self.seed, step)).integers(len(self), size=count)
        starts = self._first_rows(numbers).reshape(batch_size, liveliest_of)
        if liveliest_of > 1:
            kept = self._motion(starts).argmax(1)
            starts = np.take_along_axis(starts, kept[:, None], 1)
        return self.at(starts[:, 0])

    def starts(self) -> np.ndarray:
        """First row of every window, (len(self),) i64, in order."""
        return self._first_rows(np.arange(len(self)))

    def at(self, starts: np.ndarray) -> dict[str, np.ndarray]:
        """Copy the windows that begin at these rows (values of `starts()`)."""
        rows = starts[:, None] + self._offsets
        return {f: v[rows] for f, v in self._fields.items()}

    def in_order(self, batch_size: int, stride: int = 1) -> Iterator[dict[str, np.ndarray]]:
        """Every `stride`-th window once, in order; the last batch may be smaller."""
        starts = self.starts()[::stride]
        for i in range(0, len(starts), batch_size):
            yield self.at(starts[i : i + batch_size])

    def _motion(self, starts: np.ndarray) -> np.ndarray:
        """How much a window's frames change from its first to its middle to its last."""
        frames = self._fields["frames"]
        seen = [frames[starts + at].astype(np.int16) for at in self._landmarks]
        steps = [np.abs(after - before) for before, after in pairwise(seen)]
        return np.asarray(sum(step.mean((-3, -2, -1)) for step in steps))

    def _first_rows(self, numbers: np.ndarray) -> np.ndarray:
        starts: np.ndarray = (
            numbers + self._shifts[np.searchsorted(self._ends, numbers, side="right")]
        )
        return starts
