"""The policy unrolled in the local model's own dream: what remains without the global model."""

import torch
from jaxtyping import Float
from torch import Tensor

from core.local_model.model import LocalModel
from core.local_model.rssm import State
from core.policy.rollout import LocalPath, Policy, Trajectory


def dream_path(
    start: State, noise: Float[Tensor, "batch horizon dim"], actor: Policy, local: LocalModel
) -> LocalPath:
    """Act from `start` on, each state the prior's mean; values and gradients are the local model's.

    `local_path` without the swap.
    """
    return _unrolled(start, noise, actor, local)[0]


def _unrolled(
    start: State, noise: Tensor, actor: Policy, local: LocalModel
) -> tuple[LocalPath, list[State]]:
    """The path and its horizon + 1 states."""
    states, rewards, entropies = [start], [], []
    for t in range(noise.shape[1]):
        policy = actor(states[-1].features)
        states.append(local.rssm.imagine(states[-1], policy.action(noise[:, t])))
        rewards.append(local.reward(states[-1]))
        entropies.append(policy.entropy(noise[:, t]))
    path = LocalPath(torch.stack(rewards, 1), torch.stack(entropies, 1), states[-1].features)
    return path, states


@torch.no_grad()
def dream(
    start: State, noise: Float[Tensor, "batch horizon dim"], actor: Policy, local: LocalModel
) -> Trajectory:
    """The same as a trajectory; a dream has no end of episode, for the local model knows none."""
    path, states = _unrolled(start, noise, actor, local)
    return Trajectory(
        deter=torch.stack([s.deter for s in states], 1),
        stoch=torch.stack([s.stoch for s in states], 1),
        noise=noise,
        rewards=path.rewards,
        continues=torch.ones_like(path.rewards),
    )
