"""Is an imagined reward worth what it says? Expected against logged rewards, in bins."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.evaluation.statistics import Numbers


class Calibration(NamedTuple):
    """One value per bin of imagined rewards, lowest first; `error` over all of them."""

    imagined: Numbers
    """Mean imagined reward of the bin."""
    logged: Numbers
    """Mean logged reward of the same steps."""
    counts: NDArray[np.int64]
    error: float
    """Mean distance of the two, weighted by count, in standard deviations of the logged reward."""


def calibration(imagined: Numbers, logged: Numbers, bins: int = 10) -> Calibration:
    """Bins hold about equally many steps; equal rewards share one. Raises ValueError for none."""
    imagined, logged = imagined.ravel(), logged.ravel()
    if imagined.shape != logged.shape or not len(imagined):
        raise ValueError(f"as many imagined as logged rewards, not {len(imagined)}, {len(logged)}")
    edges = np.unique(np.quantile(imagined, np.linspace(0, 1, bins + 1)[1:-1]))
    which = np.searchsorted(edges, imagined, side="right")
    names, which, counts = np.unique(which, return_inverse=True, return_counts=True)
    means = [np.bincount(which, v, len(names)) / counts for v in (imagined, logged)]
    spread = float(logged.std())
    distance = float((np.abs(means[0] - means[1]) * counts).sum() / counts.sum())
    return Calibration(means[0], means[1], counts, distance / spread if spread > 0 else distance)
