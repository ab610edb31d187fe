"""Actor, temperature and losses against closed forms."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from core.policy.actor_critic import (
    MEAN_BOUND,
    Actor,
    ActorConfig,
    Squashed,
    Temperature,
    log_tanh_slope,
)


@given(st.floats(-5, 5))
def test_log_slope_of_tanh_is_its_closed_form(u: float) -> None:
    x = torch.tensor(u, dtype=torch.float64)
    torch.testing.assert_close(log_tanh_slope(x), torch.log(1 - torch.tanh(x) ** 2))


@given(st.floats(-1.5, 1.5), st.floats(0.05, 1.5), st.floats(-2, 2))
def test_entropy_estimate_has_the_mean_of_minus_log_probability(
    mean: float, std: float, noise: float
) -> None:
    """One-sample terms differ by the normal's own log-density, whose mean is its entropy."""
    m, s, n = (torch.tensor([v], dtype=torch.float64) for v in (mean, std, noise))
    policy = Squashed(m, s)
    squashed = TransformedDistribution(Normal(m, s), [TanhTransform(cache_size=1)])
    u = m + s * n
    normal = Normal(m, s)
    expected = -squashed.log_prob(torch.tanh(u)) + normal.log_prob(u) + normal.entropy()
    torch.testing.assert_close(policy.entropy(n), expected.sum(-1), atol=1e-6, rtol=1e-6)


def test_temperature_falls_above_the_target_entropy_and_rises_below() -> None:
    for entropy, sign in ((1.0, 1), (-3.0, -1)):
        temperature = Temperature(0.5)
        loss = temperature.loss(torch.full((4,), entropy), target=-1.0)
        gradient = torch.autograd.grad(loss, temperature.log_alpha)[0]
        assert math.copysign(1, gradient.item()) == sign
        assert gradient.item() == pytest.approx(0.5 * (entropy + 1.0))


def test_actor_stays_where_tanh_has_a_slope() -> None:
    actor = Actor(ActorConfig(8, 2))
    policy = actor(torch.randn(64, 8) * 1e4)
    assert policy.mean.abs().max() <= MEAN_BOUND
    assert policy.mode.abs().max() < 0.97


def test_saved_actor_acts_the_same(tmp_path: Path) -> None:
    actor = Actor(ActorConfig(8, 2))
    actor.save(tmp_path)
    features = torch.randn(5, 8)
    assert torch.equal(Actor.load(tmp_path)(features).mode, actor(features).mode)
