"""TD(lambda) returns against closed forms and a slow reference."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from core.policy.returns import lambda_returns


def random(horizon: int, seed: int) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(seed)
    rewards, values = torch.randn(2, 3, horizon, generator=g, dtype=torch.float64)
    continues = (torch.rand(3, horizon, generator=g) > 0.2).double()
    return rewards, continues, values


def n_step(
    rewards: torch.Tensor, continues: torch.Tensor, values: torch.Tensor, n: int, gamma: float
) -> torch.Tensor:
    total, weight = torch.zeros(len(rewards)).double(), torch.ones(len(rewards)).double()
    for t in range(n):
        total = total + weight * rewards[:, t]
        weight = weight * gamma * continues[:, t]
    return total + weight * values[:, n - 1]


horizons, seeds, shares = st.integers(1, 8), st.integers(0, 1000), st.floats(0, 1)


@given(horizons, seeds)
def test_lambda_one_is_the_discounted_sum_with_a_bootstrap(horizon: int, seed: int) -> None:
    rewards, continues, values = random(horizon, seed)
    returns = lambda_returns(rewards, continues, values, 0.9, 1.0)
    torch.testing.assert_close(returns[:, 0], n_step(rewards, continues, values, horizon, 0.9))


@given(horizons, seeds)
def test_lambda_zero_is_the_one_step_target(horizon: int, seed: int) -> None:
    rewards, continues, values = random(horizon, seed)
    returns = lambda_returns(rewards, continues, values, 0.9, 0.0)
    torch.testing.assert_close(returns, rewards + 0.9 * continues * values)


@given(horizons, seeds, shares)
def test_lambda_returns_are_the_geometric_mean_of_n_step_returns(
    horizon: int, seed: int, lam: float
) -> None:
    rewards, continues, values = random(horizon, seed)
    expected = torch.zeros(3).double()
    for n in range(1, horizon):
        expected += (1 - lam) * lam ** (n - 1) * n_step(rewards, continues, values, n, 0.9)
    expected += lam ** (horizon - 1) * n_step(rewards, continues, values, horizon, 0.9)
    found = lambda_returns(rewards, continues, values, 0.9, lam)[:, 0]
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)
