"""Correlations and an interval for any statistic."""

import warnings
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


def clustered_mean(
    values: Numbers,
    clusters: NDArray[np.integer],
    keep: NDArray[np.bool_] | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> tuple[Numbers, Numbers]:
    """Mean (k,) of each column of `values` (n, k) and its 95 % interval (k, 2).

    Rows of one cluster (windows of one episode, say) are alike, so clusters are drawn as a whole.
    `keep` (n, k) leaves values out; a column with nothing left is NaN.
    """
    keep = np.ones_like(values, bool) if keep is None else keep
    names, which = np.unique(clusters, return_inverse=True)
    sums, counts = np.zeros((2, len(names), values.shape[1]))
    np.add.at(sums, which, np.where(keep, values, 0))
    np.add.at(counts, which, keep)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    means, found = _ratio(sums.sum(0), counts.sum(0)), _ratio(drawn @ sums, drawn @ counts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns of NaN alone
        interval = np.nanquantile(found, (0.025, 0.975), axis=0).T
    return means, interval


def _ratio(sums: Numbers, counts: Numbers) -> Numbers:
    shares: Numbers = np.full(sums.shape, np.nan)
    return np.divide(sums, counts, out=shares, where=counts > 0)
