"""Fixed-length windows of consecutive rows, by step number."""

from collections.abc import Iterator

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

    def __len__(self) -> int:
        """Number of different windows."""
        return int(self._ends[-1])

    def batch(self, step: int, batch_size: int) -> dict[str, np.ndarray]:
        """Windows drawn uniformly, with replacement; depends on (seed, step) only."""
        numbers = np.random.default_rng((self.seed, step)).integers(len(self), size=batch_size)
        return self.at(self._first_rows(numbers))

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

    def _first_rows(self, numbers: np.ndarray) -> np.ndarray:
        starts: np.ndarray = (
            numbers + self._shifts[np.searchsorted(self._ends, numbers, side="right")]
        )
        return starts
