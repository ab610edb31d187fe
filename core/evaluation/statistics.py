"""Correlations and an interval for any statistic."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def ranks(values: Numbers) -> Numbers:
    """Rank of each value from 1; equal values share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    shared: Numbers = np.cumsum(counts) - (counts - 1) / 2
    return shared[which]


def pearson(x: Numbers, y: Numbers) -> float:
    """Linear correlation; 0 where one side does not vary."""
    x, y = x - x.mean(), y - y.mean()
    norm = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / norm) if norm > 0 else 0.0


def spearman(x: Numbers, y: Numbers) -> float:
    """Rank correlation: Pearson's of the ranks."""
    return pearson(ranks(x), ranks(y))


def bootstrap_interval(
    statistic: Callable[..., float], *samples: Numbers, seed: int = 0, resamples: int = 2000
) -> tuple[float, float]:
    """95 % percentile interval of `statistic(*samples)` (Efron 1979).

    The samples have the same length and are drawn together: pairs stay pairs.
    """
    rng = np.random.default_rng(seed)
    count = len(samples[0])
    draws = rng.integers(count, size=(resamples, count))
    found = [statistic(*(sample[rows] for sample in samples)) for rows in draws]
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
