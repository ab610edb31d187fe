"""Slopes of the value against closed forms, in a linear world."""

import torch

from core.policy.actor_critic import Critics
from core.policy.rollout import Trajectory
from core.policy.slopes import Slopes, slope_loss, value_slopes
from tests.policy.linear import LinearLocal, LinearPolicy


def test_worth_is_the_derivative_of_what_comes_after_the_state() -> None:
    """x' = x + a, r = -x'^2 and a = -k x: V(x) = -c x^2 with c = q (1 + g q + ...), q = (1 - k)^2."""
    k, gamma, horizon = 0.4, 0.9, 5
    actor, local = LinearPolicy(gain=-k), LinearLocal()
    x = torch.rand(64, 1).double() * 2 - 1
    states = [x]
    for _ in range(horizon):
        states.append((1 - k) * states[-1])
    deter = torch.stack(states, 1)
    shape = deter[:, 1:, 0].shape
    rollout = Trajectory(
        deter=deter,
        stoch=torch.zeros(64, horizon + 1, 1).double(),
        noise=torch.zeros(64, horizon, 1).double(),
        rewards=-(deter[:, 1:, 0] ** 2),
        continues=torch.ones(shape).double(),
    )

    def nothing(features: torch.Tensor) -> torch.Tensor:
        return 0 * features.sum(-1).expand(2, *features.shape[:-1])

    found = value_slopes(
        rollout,
        actor,  # type: ignore[arg-type]
        local,  # type: ignore[arg-type]
        nothing,  # type: ignore[arg-type]
        torch.zeros(()),
        gamma,
        torch.Generator().manual_seed(0),
    )
    q = (1 - k) ** 2
    for t in range(1, horizon + 1):
        left = horizon - t
        c = q * sum((gamma * q) ** n for n in range(left))
        change = (found.moved - found.features)[:, t - 1, 0]
        expected = -2 * c * deter[:, t, 0] * change
        torch.testing.assert_close(found.worth[:, t - 1], expected, atol=1e-9, rtol=1e-6)
    assert found.worth[:, 0].abs().max() > 1e-3


def test_critics_that_learn_the_slope_know_it_where_values_leave_it_open() -> None:
    """Two states with the same value: only the slope says in which direction it is better."""
    torch.manual_seed(0)
    critics = Critics(2, 0.0, 1.0, hidden=32)
    adam = torch.optim.Adam(critics.parameters(), lr=3e-3)
    features = torch.randn(64, 4, 2)
    change = 0.1 * torch.randn(64, 4, 2)
    slopes = Slopes(features, features + change, 3 * change[..., 0])
    for _ in range(200):
        adam.zero_grad()
        loss = slope_loss(critics, slopes) + (critics(torch.zeros(1, 2)) ** 2).mean()
        loss.backward()
        adam.step()
    point = torch.zeros(1, 2, requires_grad=True)
    found = torch.autograd.grad(critics(point).mean(), point)[0]
    torch.testing.assert_close(found, torch.tensor([[3.0, 0.0]]), atol=0.3, rtol=0)
