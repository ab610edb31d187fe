"""Correlations and the bootstrap against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.statistics import (
    bootstrap_interval,
    clustered_mean,
    pearson,
    ranks,
    spearman,
)

numbers = st.lists(st.integers(-50, 50), min_size=3, max_size=30)


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert ranks(np.array([30.0, 10, 20, 20, 5])).tolist() == [5, 2, 3.5, 3.5, 1]


@given(numbers)
def test_rank_correlation_sees_only_the_order(values: list[int]) -> None:
    x = np.array(values, np.float64)
    expected = 1.0 if len(set(values)) > 1 else 0.0
    assert spearman(x, np.exp(x / 10)) == pytest.approx(expected)
    assert spearman(x, -(x**3)) == pytest.approx(-expected)


def test_rank_correlation_without_ties_is_spearmans_formula() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.permutation(20).astype(float), rng.permutation(20).astype(float)
    assert spearman(x, y) == pytest.approx(1 - 6 * ((x - y) ** 2).sum() / (20 * (400 - 1)))


@given(numbers)
def test_linear_correlation_is_numpys(values: list[int]) -> None:
    x = np.array(values, np.float64)
    y = np.arange(len(x)) ** 2.0
    if len(set(values)) > 1:
        assert pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
    else:
        assert pearson(x, y) == 0


def test_bootstrap_interval_of_a_mean_agrees_with_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(3, 2, 400)
    low, high = bootstrap_interval(lambda v: float(v.mean()), values)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)


def test_bootstrap_keeps_pairs_together() -> None:
    x = np.random.default_rng(2).normal(size=30)
    assert bootstrap_interval(pearson, x, 2 * x + 1) == pytest.approx((1, 1))


def test_clustered_mean_counts_alike_rows_once() -> None:
    """Copies of a row add no information: the interval is that of the rows themselves."""
    values = np.random.default_rng(3).normal(size=(40, 2))
    copies, clusters = np.repeat(values, 5, axis=0), np.repeat(np.arange(40), 5)
    mean, interval = clustered_mean(values, np.arange(40))
    copied_mean, copied_interval = clustered_mean(copies, clusters)
    assert mean == pytest.approx(values.mean(0))
    assert copied_mean == pytest.approx(mean)
    assert copied_interval == pytest.approx(interval)
    half = 1.96 * values.std(0) / np.sqrt(40)
    assert np.diff(interval, axis=1)[:, 0] == pytest.approx(2 * half, rel=0.15)


def test_clustered_mean_leaves_out_what_is_not_kept() -> None:
    values = np.array([[1.0, 1], [3, 100], [5, 100]])
    keep = np.array([[True, True], [True, False], [True, False]])
    assert clustered_mean(values, np.arange(3), keep)[0].tolist() == [3, 1]
    assert np.isnan(clustered_mean(values, np.arange(3), keep & False)[0]).all()
