"""What both policy loops do with a rollout once the actor has learned from it: fit the critics."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from core.jobs.spec import PolicySpec
from core.policy.actor_critic import Critics
from core.policy.losses import critic_loss, critic_rows, critic_targets, follow
from core.policy.rollout import Trajectory
from core.training.descent import descend


def improve_critics(
    spec: PolicySpec,
    critics: Critics,
    target: Critics,
    adam: Optimizer,
    rollout: Trajectory,
    entropy: Float[Tensor, "batch horizon"],
    alpha: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """`critic_updates` steps of the critics, with the target critics behind them.

    Returns loss and targets of the last step.
    """
    for _ in range(spec.critic_updates):
        rows = critic_rows(rollout, generator)
        seen = rollout.rows(rows)
        targets = critic_targets(seen, entropy[rows], target, alpha, spec.gamma, spec.lam)
        loss = critic_loss(critics, seen.features[:, :-1], targets)
        descend(loss, adam, max_grad_norm=1.0)
        follow(target, critics, rate=0.05)
    return loss, targets
