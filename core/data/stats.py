"""Column statistics that are gathered episode by episode and merged."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict


class ColumnStats(BaseModel):
    """Per column: mean, standard deviation (population), least and greatest value."""

    model_config = ConfigDict(frozen=True)

    mean: tuple[float, ...]
    std: tuple[float, ...]
    min: tuple[float, ...]
    max: tuple[float, ...]


@dataclass(frozen=True)
class Moments:
    """What is kept of one episode's columns: enough to merge exactly."""

    count: int
    mean: np.ndarray
    squares: np.ndarray
    """Sum of squared deviations from the mean."""
    min: np.ndarray
    max: np.ndarray

    @staticmethod
    def of_columns(rows: np.ndarray) -> "Moments":
        """Moments of `rows` (N, C), computed in float64."""
        wide = rows.astype(np.float64)
        mean = wide.mean(0)
        return Moments(len(rows), mean, ((wide - mean) ** 2).sum(0), wide.min(0), wide.max(0))

    @staticmethod
    def of_frames(frames: np.ndarray) -> "Moments":
        """Moments of the colour channels of `frames` (L, H, W, 3) u8."""
        flat = np.ascontiguousarray(frames).reshape(len(frames), -1, 3)
        # OpenCV sums 8-bit channels several times faster than NumPy does.
        mean, std = (v[:, 0] for v in cv2.meanStdDev(flat))
        count = flat.shape[0] * flat.shape[1]
        return Moments(count, mean, std**2 * count, np.zeros(3), np.full(3, 255.0))

    @staticmethod
    def merge(parts: Sequence["Moments"]) -> "Moments":
        """Moments of all rows together."""
        counts = np.array([p.count for p in parts], dtype=np.float64)
        means = np.stack([p.mean for p in parts])
        total = counts.sum()
        mean = (counts[:, None] * means).sum(0) / total
        between = (counts[:, None] * (means - mean) ** 2).sum(0)
        return Moments(
            int(total),
            mean,
            np.stack([p.squares for p in parts]).sum(0) + between,
            np.stack([p.min for p in parts]).min(0),
            np.stack([p.max for p in parts]).max(0),
        )

    @property
    def std(self) -> np.ndarray:
        """Standard deviation (population) per column."""
        return np.sqrt(self.squares / self.count)

    def stats(self) -> ColumnStats:
        """As stored in `dataset.json`."""
        return ColumnStats(
            mean=tuple(self.mean.tolist()),
            std=tuple(self.std.tolist()),
            min=tuple(self.min.tolist()),
            max=tuple(self.max.tolist()),
        )
