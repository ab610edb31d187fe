"""The true policy gradient: through the diffusion model, its sampler and the image encoder.

What decoupling replaces. It needs the graph of every denoising step of every imagined step, so it
is for small models, horizons and batches: to measure what decoupling saves, and how well the two
directions agree.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from core.devices import bf16, normal
from core.global_model.model import GlobalModel, quantise
from core.global_model.sampler import euler_sample
from core.local_model.model import LocalModel
from core.local_model.rssm import State
from core.policy.actor_critic import Squashed
from core.policy.rollout import ImaginedEnvs, LocalPath, Policy


def differentiable_step(
    model: GlobalModel,
    frames: Float[Tensor, "batch context 3 height width"],
    actions: Float[Tensor, "batch context dim"],
    noise: Tensor,
    rounded: bool = True,
) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, " batch"]]:
    """Frame and reward of `GlobalModel.step`, with gradients to all frames and actions.

    Rounding to 8 bits has no derivative; the gradient passes straight through it and through the
    clamp. `rounded=False` leaves both out.
    """
    with bf16(frames.device, model.config.bf16):
        difference = euler_sample(
            lambda x, sigma: model.denoiser(x, sigma, frames, actions), noise, model.sigmas
        )
        frame = model.denoiser.to_frame(difference, frames[:, -1])
        if rounded:
            frame = frame + (quantise(frame) - frame).detach()
        reward, _ = model.reward(frame, actions[:, -1])
    return frame, reward * model.reward.std + model.reward.mean


def full_path(
    envs: ImaginedEnvs,
    actor: Policy,
    model: GlobalModel,
    local: LocalModel,
    horizon: int,
    generator: torch.Generator,
    rounded: bool = True,
) -> LocalPath:
    """What `ImaginedEnvs.rollout` does, with the whole graph: rewards, entropy and last features.

    The same generator state gives the same noise, hence the same values. Rewards are the global
    reward model's; gradients reach the actor through every frame, as the encoder and the local
    model's filter see it. `envs` stay where they are.
    """
    device, dim = envs.frames.device, envs.actions.shape[-1]
    noise = normal((len(envs.frames), horizon, dim), generator, device)
    past, taken, state = envs.frames, envs.actions[:, :-1], State(envs.deter, envs.stoch)
    rewards, entropies = [], []
    for t in range(horizon):
        policy = actor(state.features)
        action = policy.action(noise[:, t])
        taken = torch.cat([taken, action[:, None]], 1)
        sampler = model.noise(len(past), generator, device)
        frame, reward = differentiable_step(model, past, taken, sampler, rounded)
        state = local.rssm.observe(state, action, local.encode(frame))
        past = torch.cat([past[:, 1:], frame[:, None]], 1)
        taken = taken[:, 1:]
        rewards.append(reward)
        entropies.append(policy.entropy(noise[:, t]))
    return LocalPath(torch.stack(rewards, 1), torch.stack(entropies, 1), state.features)


class Nudged:
    """A policy whose t-th call has its mean moved by `nudge[:, t]`.

    The gradient with respect to `nudge` (zeros, requiring a gradient) is that of every single
    action before tanh, with all that the action does later.
    """

    def __init__(self, actor: Policy, nudge: Float[Tensor, "batch horizon dim"]) -> None:
        self.actor, self.nudge, self.calls = actor, nudge, 0

    def __call__(self, features: Tensor) -> Squashed:
        policy = self.actor(features)
        moved = policy.mean + self.nudge[:, self.calls]
        self.calls += 1
        return Squashed(moved, policy.std)


def discounted_return(path: LocalPath, gamma: float) -> Tensor:
    """Mean over the batch of the discounted sum of rewards."""
    horizon = path.rewards.shape[1]
    discount = gamma ** torch.arange(horizon, device=path.rewards.device)
    total: Tensor = (path.rewards * discount).sum(1).mean()
    return total
