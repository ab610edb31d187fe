"""One imagined step of many episodes, each with random numbers of its own."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.global_model.model import GlobalModel, Step


class Imagined(NamedTuple):
    """What a step led to; frames and actions are the context of the next step."""

    step: Step
    frames: Float[Tensor, "batch context 3 height width"]
    actions: Float[Tensor, "batch context dim"]


def imagine_each(
    model: GlobalModel,
    frames: Float[Tensor, "batch context 3 height width"],
    actions: Float[Tensor, "batch context dim"],
    generators: Sequence[torch.Generator],
) -> Imagined:
    """Take `actions[:, -1]` everywhere; episode i depends on `generators[i]` and its own rows
    alone, not on what else is in the batch (up to rounding)."""
    noise = torch.cat([model.noise(1, g, g.device) for g in generators])
    step = model.step(frames, actions, generators[0], noise.to(frames.device))
    following = torch.cat([frames[:, 1:], step.frame[:, None]], 1)
    return Imagined(step, following, actions.roll(-1, 1))


def episode_generator(seed: int, i: int) -> torch.Generator:
    """The random numbers of episode i under a seed, drawn on the CPU whatever computes."""
    mixed = np.random.SeedSequence((seed, i)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed[0]))
