"""Losses of actor and critic against sums written out by hand."""

import pytest
import torch
from torch import Tensor

from core.policy.actor_critic import Critics
from core.policy.losses import (
    CRITIC_ROWS,
    actor_loss,
    critic_loss,
    critic_rows,
    critic_targets,
    follow,
)
from core.policy.rollout import LocalPath, Trajectory


def two_values(features: Tensor) -> Tensor:
    """Critics that say the first feature and a tenth less."""
    return torch.stack([features[..., 0], features[..., 0] - 0.1])


def rollout(continues: Tensor) -> Trajectory:
    batch, horizon = continues.shape
    return Trajectory(
        deter=torch.arange(horizon + 1.0).repeat(batch, 1)[..., None],
        stoch=torch.zeros(batch, horizon + 1, 0),
        noise=torch.zeros(batch, horizon, 1),
        rewards=torch.ones(batch, horizon),
        continues=continues,
    )


def test_actor_loss_is_minus_the_discounted_return_with_entropy_and_terminal_value() -> None:
    rewards, entropy = torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[0.5, -0.5, 1.0]])
    path = LocalPath(rewards, entropy, torch.tensor([[7.0]]))
    alpha, gamma = torch.tensor(0.1), 0.9
    whole = rollout(torch.ones(1, 3))
    loss = actor_loss(path, whole, two_values, alpha, gamma, 0.5)  # type: ignore[arg-type]
    earned = 1.05 + 0.9 * 1.95 + 0.81 * 4.1
    assert loss.item() == pytest.approx(-(earned + 0.5 * 0.729 * 6.95) / 3, rel=1e-6)


def test_nothing_is_earned_after_the_end_of_an_episode() -> None:
    rewards = torch.tensor([[1.0, 2.0, 4.0]], requires_grad=True)
    path = LocalPath(rewards, torch.zeros(1, 3), torch.tensor([[7.0]]))
    ended = rollout(torch.tensor([[1.0, 0.0, 1.0]]))  # the second step is the last
    loss = actor_loss(path, ended, two_values, torch.zeros(()), 0.9, 1.0)  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(-(1 + 0.9 * 2) / 3, rel=1e-6)
    assert torch.autograd.grad(loss, rewards)[0][0, 2] == 0


def test_critic_targets_trust_the_smaller_critic() -> None:
    some = rollout(torch.ones(1, 2))
    entropy = torch.tensor([[0.5, 1.0]])
    found = critic_targets(some, entropy, two_values, torch.tensor(0.2), 0.9, 0.0)  # type: ignore[arg-type]
    torch.testing.assert_close(found, torch.tensor([[1.1 + 0.9 * 0.9, 1.2 + 0.9 * 1.9]]))


def test_a_critic_step_learns_from_all_environments_or_from_others_every_time() -> None:
    generator = torch.Generator().manual_seed(0)
    few, many = rollout(torch.ones(CRITIC_ROWS, 2)), rollout(torch.arange(300.0).expand(2, -1).T)
    assert few.rows(critic_rows(few, generator)).continues.shape == (CRITIC_ROWS, 2)
    drawn = [many.rows(critic_rows(many, generator)) for _ in range(40)]
    assert {len(some.rewards) for some in drawn} == {CRITIC_ROWS}
    assert len(torch.cat([some.continues for some in drawn]).unique()) == 300


def test_critic_loss_counts_in_units_of_the_scale_of_returns() -> None:
    critics = Critics(3, centre=5.0, scale=4.0, hidden=8)
    features, targets = torch.randn(6, 3), torch.full((6,), 5.0)
    expected = (((critics(features) - 5) / 4) ** 2).mean()
    torch.testing.assert_close(critic_loss(critics, features, targets), expected)


def test_target_critics_follow_by_their_rate() -> None:
    torch.manual_seed(0)
    target, critics = (Critics(3, 0.0, 1.0, hidden=8) for _ in range(2))
    before = [p.clone() for p in target.parameters()]
    follow(target, critics, rate=0.25)
    for now, old, new in zip(target.parameters(), before, critics.parameters(), strict=True):
        torch.testing.assert_close(now, 0.75 * old + 0.25 * new)
