"""How far imagined frames are from held-out real ones, by imagined step."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.data.windows import Windows
from core.devices import upload
from core.global_model.model import GlobalModel, quantise, to_float
from core.local_model.model import LocalModel


@dataclass(frozen=True)
class Fidelity:
    """Mean PSNR in dB per imagined step; `static` repeats the last real frame."""

    imagined: Float[Tensor, " horizon"]
    static: Float[Tensor, " horizon"]
    reward_correlation: float | None
    """Pearson correlation of imagined and logged rewards over all imagined steps."""
    imagined_rewards: Float[Tensor, "count horizon"]
    logged_rewards: Float[Tensor, "count horizon"] | None


def psnr(frames: Tensor, reference: Tensor) -> Float[Tensor, "*batch"]:
    """Peak signal-to-noise ratio in dB of frames in [-1, 1], at most 60."""
    error = ((frames - reference) ** 2).mean((-3, -2, -1))
    return 10 * torch.log10(4 / error.clamp(min=4e-6))


@torch.no_grad()
def open_loop(
    model: GlobalModel, frames: Tensor, actions: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Imagine `length - context` steps from the first frames with the logged actions.

    `frames` (batch, length, 3, H, W), `actions` (batch, length, dim); returns imagined frames
    (batch, steps, 3, H, W) and rewards (batch, steps).
    """
    context = model.config.context
    past = frames[:, :context]
    imagined, rewards = [], []
    for t in range(frames.shape[1] - context):
        step = model.step(past, actions[:, t : t + context], generator)
        past = torch.cat([past[:, 1:], step.frame[:, None]], 1)
        imagined.append(step.frame)
        rewards.append(step.reward)
    return torch.stack(imagined, 1), torch.stack(rewards, 1)


def fidelity(model: GlobalModel, windows: Windows, count: int, seed: int) -> Fidelity:
    """Open-loop fidelity over `count` windows, whose length is context + horizon."""
    batch = windows.batch(seed, count)
    device = model.denoiser.device
    frames = to_float(upload(batch["frames"], device))
    actions = upload(batch["actions"], device)
    generator = torch.Generator().manual_seed(seed)
    imagined, rewards = open_loop(model, frames, actions, generator)
    context = model.config.context
    real, last = frames[:, context:], frames[:, context - 1 : context]
    rewards, logged, correlation = rewards.cpu(), None, None
    if "reward" in batch:
        logged = torch.from_numpy(batch["reward"][:, context - 1 : -1])
        correlation = float(np.corrcoef(logged.numpy().ravel(), rewards.numpy().ravel())[0, 1])
    quality, static = psnr(imagined, real).mean(0), psnr(last, real).mean(0)
    return Fidelity(quality.cpu(), static.cpu(), correlation, rewards, logged)


@torch.no_grad()
def dream(local: LocalModel, frames: Tensor, actions: Tensor, seen: int) -> tuple[Tensor, Tensor]:
    """The local model's own imagination, through the prior, with the logged actions.

    `frames` (batch, length, 3, H, W), of which `seen` are filtered; returns imagined frames
    (batch, length - seen, 3, H, W) and rewards (batch, length - seen).
    """
    state = local.burn_in(frames[:, :seen], actions[:, :seen])
    imagined, rewards = [], []
    for t in range(seen - 1, frames.shape[1] - 1):
        state = local.rssm.imagine(state, actions[:, t])
        imagined.append(quantise(local.decode(state)))
        rewards.append(local.reward(state))
    return torch.stack(imagined, 1), torch.stack(rewards, 1)
