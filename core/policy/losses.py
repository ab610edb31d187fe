"""Losses of actor and critic."""

import torch
from jaxtyping import Float
from torch import Tensor

from core.policy.actor_critic import Actor, Critics
from core.policy.returns import lambda_returns
from core.policy.rollout import LocalPath, Trajectory


def actor_loss(
    path: LocalPath,
    rollout: Trajectory,
    critics: Critics,
    alpha: Tensor,
    gamma: float,
    bootstrap_weight: float,
) -> Tensor:
    """Minus the H-step return with entropy and terminal value (paper, eq. 4; SAPO)."""
    horizon = path.rewards.shape[1]
    alive = torch.cumprod(rollout.continues, 1)
    before = torch.cat([torch.ones_like(alive[:, :1]), alive[:, :-1]], 1)
    discount = gamma ** torch.arange(horizon, device=path.rewards.device)
    earned = ((path.rewards + alpha * path.entropy) * before * discount).sum(1)
    value: Tensor = critics(path.last).mean(0)
    terminal = value * alive[:, -1] * gamma**horizon
    loss: Tensor = -(earned + bootstrap_weight * terminal).mean() / horizon
    return loss


CRITIC_ROWS = 72
"""Imagined environments that a critic step learns from, at most: their states are much alike."""


def critic_rows(rollout: Trajectory, generator: torch.Generator) -> Tensor | slice:
    """The environments of a critic step: all, or some of them, drawn anew for every step."""
    count = len(rollout.rewards)
    if count <= CRITIC_ROWS:
        return slice(None)
    return torch.randint(count, (CRITIC_ROWS,), generator=generator, device=generator.device)


@torch.no_grad()
def critic_targets(
    rollout: Trajectory,
    entropy: Float[Tensor, "batch horizon"],
    target: Critics,
    alpha: Tensor,
    gamma: float,
    lam: float,
) -> Float[Tensor, "batch horizon"]:
    """TD(lambda) targets on global rewards and entropy, from the smaller of two critics."""
    values = target(rollout.features[:, 1:]).amin(0)
    rewards = rollout.rewards + alpha * entropy
    return lambda_returns(rewards, rollout.continues, values, gamma, lam)


def critic_loss(critics: Critics, features: Tensor, targets: Tensor) -> Tensor:
    """Squared error of both critics in units of their scale (paper, eq. 5)."""
    loss: Tensor = (((critics(features) - targets) / critics.scale) ** 2).mean()
    return loss


@torch.no_grad()
def follow(target: Critics, critics: Critics, rate: float) -> None:
    """Move target critics a little towards the trained ones."""
    for slow, fast in zip(target.parameters(), critics.parameters(), strict=True):
        slow.lerp_(fast, rate)


def path_entropy(actor: Actor, rollout: Trajectory) -> Float[Tensor, "batch horizon"]:
    """Entropy of the policy at the rollout's states."""
    entropy: Tensor = actor(rollout.features[:, :-1]).entropy(rollout.noise)
    return entropy
