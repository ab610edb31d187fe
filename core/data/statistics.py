"""What a dataset's actions and states are like: histograms, and how much of its room it saw."""

from collections.abc import Iterator

import numpy as np
from pydantic import BaseModel, ConfigDict

from core.data.dataset import Dataset

_BINS = 40
_CELLS = 24
_MOST_COLUMNS = 64
_BLOCK_ROWS = 1 << 18


class Histogram(BaseModel):
    """Counts in equal bins between the least and the greatest value of one column."""

    model_config = ConfigDict(frozen=True)

    name: str
    low: float
    high: float
    counts: tuple[int, ...]


class Coverage(BaseModel):
    """How often each cell of a plane was visited; `counts[i][j]` is at x i, y j."""

    model_config = ConfigDict(frozen=True)

    x: str
    y: str
    low: tuple[float, float]
    high: tuple[float, float]
    counts: tuple[tuple[int, ...], ...]
    visited: float
    """Share of the cells that were visited at all."""


class Statistics(BaseModel):
    """Of all episodes, in `report.json`."""

    model_config = ConfigDict(frozen=True)

    histograms: tuple[Histogram, ...] = ()
    coverage: Coverage | None = None
    """Of the first two columns of the state, else of the actions; None if there is but one."""


def statistics(dataset: Dataset) -> Statistics:
    """One pass over actions and state; memory does not grow with the dataset."""
    found: list[Histogram] = []
    for field in ("action", "state", "reward"):
        values = _rows(dataset, field)
        if values is not None:
            found += _histograms(dataset, field, values)
    return Statistics(histograms=tuple(found), coverage=_coverage(dataset))


def _histograms(dataset: Dataset, field: str, values: np.ndarray) -> Iterator[Histogram]:
    columns = range(min(values.shape[1], _MOST_COLUMNS))
    low, high = _bounds(dataset, field, values)
    edges = [_edges(low[c], high[c]) for c in columns]
    counts = np.zeros((len(columns), _BINS), np.int64)
    for block in _blocks(dataset, field, values):
        for c in columns:
            counts[c] += np.histogram(block[:, c], _BINS, edges[c])[0]
    for c in columns:
        low_edge, high_edge = edges[c]
        yield Histogram(
            name=_name(dataset, field, c),
            low=low_edge,
            high=high_edge,
            counts=tuple(counts[c].tolist()),
        )


def _coverage(dataset: Dataset) -> Coverage | None:
    field = "state" if dataset.state is not None and dataset.state.shape[1] > 1 else "action"
    values = _rows(dataset, field)
    if values is None or values.shape[1] < 2:
        return None
    low, high = _bounds(dataset, field, values)
    across, along = _edges(low[0], high[0]), _edges(low[1], high[1])
    counts = np.zeros((_CELLS, _CELLS), np.int64)
    for block in _blocks(dataset, field, values):
        found = np.histogram2d(block[:, 0], block[:, 1], _CELLS, [across, along])[0]
        counts += found.astype(np.int64)
    return Coverage(
        x=_name(dataset, field, 0),
        y=_name(dataset, field, 1),
        low=(across[0], along[0]),
        high=(across[1], along[1]),
        counts=tuple(tuple(row) for row in counts.tolist()),
        visited=float((counts > 0).mean()),
    )


def _rows(dataset: Dataset, field: str) -> np.ndarray | None:
    if field == "reward":
        return None if dataset.reward is None else dataset.reward[:, None]
    return dataset.actions if field == "action" else dataset.state


def _blocks(dataset: Dataset, field: str, values: np.ndarray) -> Iterator[np.ndarray]:
    """Rows in pieces; per step without the last row of every episode, which is filling."""
    filled = dataset.episodes if field != "state" else ()
    ends = np.array([e.start + e.length - 1 for e in filled])
    for start in range(0, len(values), _BLOCK_ROWS):
        # In doubles: in single precision a column that only trembles has no room for bins.
        block = np.asarray(values[start : start + _BLOCK_ROWS], np.float64)
        here = ends[(ends >= start) & (ends < start + len(block))].astype(int)
        yield np.delete(block, here - start, axis=0)


def _bounds(dataset: Dataset, field: str, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    blocks = [b for b in _blocks(dataset, field, values) if len(b)]
    return np.min([b.min(0) for b in blocks], 0), np.max([b.max(0) for b in blocks], 0)


def _edges(low: float, high: float) -> tuple[float, float]:
    """A range of some width, also for a column that never changes."""
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(high) + 0.5)


def _name(dataset: Dataset, field: str, column: int) -> str:
    if field == "reward":
        return field
    names = dataset.meta.names.get("actions" if field == "action" else field, ())
    return names[column] if column < len(names) else f"{field} {column}"
