"""Correlations and the bootstrap against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.statistics import bootstrap_interval, pearson, ranks, spearman

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
