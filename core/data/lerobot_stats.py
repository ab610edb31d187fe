"""Statistics as LeRobot keeps them: per episode, and merged over a dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.data.stats import Moments

_QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
_MOST_FRAMES = 50
_MOST_SIDE_PX = 150


@dataclass(frozen=True)
class FeatureStats:
    """Moments and quantiles of the columns of one feature."""

    moments: Moments
    quantiles: np.ndarray
    """(5, C): the 1, 10, 50, 90 and 99 % quantile of each column."""
    shape: tuple[int, ...]
    """How the columns are written: (C,), or (3, 1, 1) for the colours of a camera."""

    @staticmethod
    def of_columns(rows: np.ndarray) -> "FeatureStats":
        """Of rows (L, C)."""
        wide = rows.astype(np.float64)
        return FeatureStats(
            Moments.of_columns(wide), np.quantile(wide, _QUANTILES, axis=0), wide.shape[1:]
        )

    @staticmethod
    def of_frames(frames: np.ndarray) -> "FeatureStats":
        """Of frames (L, H, W, 3) u8, scaled to 0..1; some frames and pixels stand for all."""
        chosen = np.unique(np.linspace(0, len(frames) - 1, _MOST_FRAMES).round().astype(int))
        step = max(1, -(-max(frames.shape[1:3]) // _MOST_SIDE_PX))
        small = frames[chosen, ::step, ::step].reshape(-1, 3)
        pixels = FeatureStats.of_columns(small / np.float64(255))
        moments = pixels.moments
        counted = Moments(
            len(chosen),
            moments.mean,
            moments.std**2 * len(chosen),
            moments.min,
            moments.max,
        )
        return FeatureStats(counted, pixels.quantiles, (3, 1, 1))

    @staticmethod
    def merge(parts: Sequence["FeatureStats"]) -> "FeatureStats":
        """Of all rows together; quantiles are means over episodes, as LeRobot merges them."""
        counts = np.array([p.moments.count for p in parts], np.float64)
        mean = np.tensordot(counts / counts.sum(), np.stack([p.quantiles for p in parts]), 1)
        return FeatureStats(Moments.merge([p.moments for p in parts]), mean, parts[0].shape)

    def written(self) -> dict[str, object]:
        """By name, as nested lists."""
        values: Mapping[str, np.ndarray] = {
            "min": self.moments.min,
            "max": self.moments.max,
            "mean": self.moments.mean,
            "std": self.moments.std,
            **{
                f"q{round(100 * q):02d}": v for q, v in zip(_QUANTILES, self.quantiles, strict=True)
            },
        }
        lists = {k: v.reshape(self.shape).tolist() for k, v in values.items()}
        return {**lists, "count": [self.moments.count]}
