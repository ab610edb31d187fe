"""A policy in imagination: what it is expected to earn."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from core.global_model.model import GlobalModel, quantise
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor


class Imagined(NamedTuple):
    """What a policy did in imagination; row t is what its step t led to."""

    frames: Float[Tensor, "batch horizon 3 height width"]
    rewards: Float[Tensor, "batch horizon"]
    actions: Float[Tensor, "batch horizon dim"]
    terminated: Float[Tensor, "batch horizon"]
    """Probability that the step ended the episode; imagination goes on all the same."""


@torch.no_grad()
def imagine_policy(
    actor: Actor,
    model: GlobalModel,
    local: LocalModel,
    frames: Float[Tensor, "batch burn_in 3 height width"],
    actions: Float[Tensor, "batch burn_in dim"],
    horizon: int,
    generator: torch.Generator,
) -> Imagined:
    """Frames and rewards of the policy, without action noise, from real starts on.

    `actions[:, t]` was taken at `frames[:, t]`; the last row is replaced by the policy's own.
    """
    context = model.config.context
    state = local.burn_in(frames, actions)
    past, taken = frames[:, -context:], actions[:, -context:].clone()
    imagined, rewards, acted, ended = [], [], [], []
    for _ in range(horizon):
        action = actor(state.features).mode
        acted.append(action)
        taken[:, -1] = action
        step = model.step(past, taken, generator)
        state = local.rssm.observe(state, action, local.encode(step.frame))
        past = torch.cat([past[:, 1:], step.frame[:, None]], 1)
        taken = torch.cat([taken[:, 1:], torch.zeros_like(taken[:, :1])], 1)
        imagined.append(step.frame)
        rewards.append(step.reward)
        ended.append(step.terminated)
    return Imagined(*(torch.stack(part, 1) for part in (imagined, rewards, acted, ended)))


@torch.no_grad()
def dream_policy(
    actor: Actor,
    local: LocalModel,
    frames: Float[Tensor, "batch burn_in 3 height width"],
    actions: Float[Tensor, "batch burn_in dim"],
    horizon: int,
) -> tuple[Float[Tensor, "batch horizon 3 height width"], Float[Tensor, "batch horizon"]]:
    """Frames and rewards of the policy in the local model's own dream, from real starts on."""
    state = local.burn_in(frames, actions)
    dreamed, rewards = [], []
    for _ in range(horizon):
        state = local.rssm.imagine(state, actor(state.features).mode)
        dreamed.append(quantise(local.decode(state)))
        rewards.append(local.reward(state))
    return torch.stack(dreamed, 1), torch.stack(rewards, 1)
