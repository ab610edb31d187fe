"""Gradient distillation: the global model shows the local one what difference an action makes."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.devices import bf16, normal, uniform
from core.global_model.model import GlobalModel
from core.local_model.losses import Segments
from core.local_model.model import LocalModel
from core.local_model.rssm import State


@dataclass(frozen=True)
class Distillation:
    """How counterfactual pairs are made and weighed."""

    steps: int = 3
    """Imagined steps of each branch."""
    shift: float = 0.4
    """Length of the difference between the two action sequences."""
    random_share: float = 0.5
    """Share of the pairs whose base action is uniform and held, in place of the segment's own."""
    reward: float = 20.0
    difference: float = 10.0


@dataclass(frozen=True)
class Pairs:
    """Two imagined futures of each context: one by a base action sequence, one by a shifted one."""

    frames: Float[Tensor, "pairs burn_in 3 height width"]
    past_actions: Float[Tensor, "pairs burn_in dim"]
    """Taken at each frame; the last row belongs to the branches and is ignored."""
    actions: Float[Tensor, "2 pairs steps dim"]
    rewards: Float[Tensor, "2 pairs steps"]
    """Labels of the global reward model, in the units of the logs."""


def shifted(
    base: Float[Tensor, "pairs steps dim"], length: float, generator: torch.Generator
) -> Float[Tensor, "pairs steps dim"]:
    """`base` moved by a constant of this length in a random direction, inside [-1, 1].

    Where the shift would leave the box it is mirrored, so that no pair is wasted on the border.
    """
    direction = normal((len(base), 1, base.shape[-1]), generator, base.device)
    step = length * direction / direction.norm(dim=-1, keepdim=True)
    outside = ((base + step).abs() > 1).float().mean(1, keepdim=True) > 0.5
    return (base + torch.where(outside, -step, step)).clamp(-1, 1)


def imagine_pairs(
    model: GlobalModel, segments: Segments, how: Distillation, generator: torch.Generator
) -> Pairs:
    """Pairs that start inside segments: logged ones, or imagined ones of the policy.

    A segment of length L gives L - steps + 1 frames of context and the base actions after them.
    """
    burn_in = segments.frames.shape[1] - how.steps + 1
    base = segments.actions[:, burn_in - 1 : burn_in - 1 + how.steps].clone()
    held = 2 * uniform((len(base), 1, base.shape[-1]), generator, base.device) - 1
    chosen = uniform((len(base), 1, 1), generator, base.device) < how.random_share
    base = torch.where(chosen, held, base)
    frames, past = segments.frames[:, :burn_in], segments.actions[:, :burn_in]
    actions = torch.stack([base, shifted(base, how.shift, generator)])
    return Pairs(frames, past, actions, _rewards(model, frames, past, actions, generator))


@torch.no_grad()
def _rewards(
    model: GlobalModel, frames: Tensor, past: Tensor, actions: Tensor, generator: torch.Generator
) -> Float[Tensor, "2 pairs steps"]:
    """Roll both branches with the same noise: what differs between them, the action did."""
    context, pairs = model.config.context, len(frames)
    seen = frames[:, -context:].repeat(2, 1, 1, 1, 1)
    taken = past[:, -context:].repeat(2, 1, 1)
    rewards = []
    for t in range(actions.shape[2]):
        taken = torch.cat([taken[:, :-1], actions[:, :, t].flatten(0, 1)[:, None]], 1)
        noise = model.noise(pairs, generator, frames.device).repeat(2, 1, 1, 1)
        step = model.step(seen, taken, generator, noise)
        seen = torch.cat([seen[:, 1:], step.frame[:, None]], 1)
        taken = torch.cat([taken[:, 1:], taken[:, -1:]], 1)
        rewards.append(step.reward.unflatten(0, (2, pairs)))
    return torch.stack(rewards, -1)


def distillation_loss(local: LocalModel, pairs: Pairs, how: Distillation) -> dict[str, Tensor]:
    """Weighted squared errors of both branches' rewards and of the difference between them.

    The local model is rolled open-loop through the prior's mean, the path that a policy gradient
    takes. The difference is measured in units of its own deviation: it is a small part of the
    reward, but the whole of the gradient.
    """
    with bf16(pairs.frames.device, local.config.bf16):
        start = local.burn_in(pairs.frames, pairs.past_actions)
        state = State(start.deter.repeat(2, 1), start.stoch.repeat(2, 1))
        rewards = []
        for t in range(pairs.actions.shape[2]):
            state = local.rssm.imagine(state, pairs.actions[:, :, t].flatten(0, 1))
            rewards.append(local.normalised_reward(state).unflatten(0, (2, -1)))
    predicted = torch.stack(rewards, -1)
    target = (pairs.rewards - local.reward_mean) / local.reward_std
    made = target[1] - target[0]
    scale = made.std(0).clamp(min=0.02)
    missed = (predicted[1] - predicted[0] - made) / scale
    return {
        "distilled_reward": how.reward * ((predicted - target) ** 2).mean(),
        "distilled_difference": how.difference * (missed**2).mean(),
    }
