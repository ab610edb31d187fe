"""Losses of the local model: reconstruction, balanced KL, and heads trained where gradients pass."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.devices import bf16
from core.local_model.model import LocalModel
from core.local_model.rssm import Gaussian, State


@dataclass(frozen=True)
class Segments:
    """A batch of segments; row t: frame t, the action taken there, the reward it earned."""

    frames: Float[Tensor, "batch length 3 height width"]
    actions: Float[Tensor, "batch length dim"]
    rewards: Float[Tensor, "batch length"]
    states: Float[Tensor, "batch length state"] | None = None

    def window(self, generator: torch.Generator, length: int) -> "Segments":
        """The same `length` rows of every segment, from a random one on."""
        places = self.actions.shape[1] - length + 1
        if places < 1:
            raise ValueError(f"segments of {self.actions.shape[1]} frames have no {length} rows")
        start = int(torch.randint(places, (1,), generator=generator, device=generator.device))
        rows = slice(start, start + length)
        states = None if self.states is None else self.states[:, rows]
        return Segments(self.frames[:, rows], self.actions[:, rows], self.rewards[:, rows], states)


@dataclass(frozen=True)
class LossWeights:
    """How much each part counts."""

    frame: float = 0.3
    reward: float = 100.0
    reward_change: float = 20.0
    state: float = 50.0
    state_change: float = 20.0
    kl_dyn: float = 0.1
    kl_rep: float = 0.02
    free_nats: float = 1.0
    open_loop: int = 3
    """Steps that reward and state heads are trained open-loop, through the prior's mean."""


def kl_divergence(left: Gaussian, right: Gaussian) -> Float[Tensor, "*batch"]:
    """KL(left || right) of diagonal normals, summed over the latent."""
    variance = (left.std / right.std) ** 2
    shift = ((left.mean - right.mean) / right.std) ** 2
    return 0.5 * (variance + shift - 1 - variance.log()).sum(-1)


def balanced_kl(posterior: Gaussian, prior: Gaussian, weights: LossWeights) -> Tensor:
    """KL with free nats, its two halves weighed apart (DreamerV3, eq. 5)."""
    still_posterior = Gaussian(posterior.mean.detach(), posterior.std.detach())
    still_prior = Gaussian(prior.mean.detach(), prior.std.detach())
    dyn = kl_divergence(still_posterior, prior).clamp(min=weights.free_nats).mean()
    rep = kl_divergence(posterior, still_prior).clamp(min=weights.free_nats).mean()
    return weights.kl_dyn * dyn + weights.kl_rep * rep


def local_loss(
    model: LocalModel, segments: Segments, weights: LossWeights, generator: torch.Generator
) -> dict[str, Tensor]:
    """Weighted parts, to be summed. Heads are trained on posterior, prior and open-loop states."""
    with bf16(segments.frames.device, model.config.bf16):
        posterior, prior, states = unroll(model, segments, generator)
        target = segments.frames - model.mean_frame
        moving = 1 + 4 * (target.abs().amax(2, keepdim=True) > 0.1)
        errors = (model.decode(states) - segments.frames) ** 2 * moving
        return {
            "frame": weights.frame * errors.sum((-3, -2, -1)).mean() / 30,
            "kl": balanced_kl(posterior, prior, weights),
            **_head_losses(model, segments, weights, states.deter, posterior, prior),
        }


def unroll(
    model: LocalModel, segments: Segments, generator: torch.Generator
) -> tuple[Gaussian, Gaussian, State]:
    """Filter segments: posteriors, priors and sampled posterior states, each (batch, length, dim)."""
    embeds = model.encode(segments.frames)
    state = model.rssm.initial(len(embeds), embeds.device)
    before = torch.zeros_like(segments.actions[:, 0])
    deters, stochs, means, stds = [], [], [], []
    for t in range(embeds.shape[1]):
        deter = model.rssm.advance(state, before)
        posterior = model.rssm.posterior(deter, embeds[:, t])
        state = State(deter, posterior.sample(generator))
        before = segments.actions[:, t]
        deters.append(deter)
        stochs.append(state.stoch)
        means.append(posterior.mean)
        stds.append(posterior.std)
    states = State(torch.stack(deters, 1), torch.stack(stochs, 1))
    posteriors = Gaussian(torch.stack(means, 1), torch.stack(stds, 1))
    return posteriors, model.rssm.prior(states.deter), states


def _head_losses(
    model: LocalModel,
    segments: Segments,
    weights: LossWeights,
    deter: Tensor,
    posterior: Gaussian,
    prior: Gaussian,
) -> dict[str, Tensor]:
    """Values and step-to-step changes of reward and state, filtered and up to open_loop + 1 ahead.

    A change is predicted from the state before and the action: it is the part that the action
    decides, and the part that a policy gradient is made of. On the values alone it would drown.
    """
    targets = _targets(model, segments)
    changes = targets[:, 1:] - targets[:, :-1]
    scale = changes.std((0, 1)).clamp(min=0.02)
    filtered = model.heads(State(deter, posterior.mean))[:, 1:]
    value = ((filtered - targets) ** 2).mean((0, 1))
    change = torch.zeros_like(value)
    imagined = State(deter[:, 1:], prior.mean[:, 1:])
    before = filtered[:, :-1]
    for ahead in range(weights.open_loop + 1):
        if ahead:
            imagined = model.rssm.imagine(_upto(imagined), segments.actions[:, ahead:-1])
        predicted = model.heads(imagined)
        value = value + ((predicted - targets[:, ahead:]) ** 2).mean((0, 1))
        start = 1 if ahead == 0 else 0
        moved = predicted[:, start:] - before
        change = change + (((moved - changes[:, max(ahead - 1, 0) :]) / scale) ** 2).mean((0, 1))
        before = predicted[:, :-1]
    count = weights.open_loop + 1
    parts = {
        "reward": weights.reward * value[0] / count,
        "reward_change": weights.reward_change * change[0] / count,
    }
    if segments.states is not None:
        parts["state"] = weights.state * value[1:].mean() / count
        parts["state_change"] = weights.state_change * change[1:].mean() / count
    return parts


def _targets(model: LocalModel, segments: Segments) -> Float[Tensor, "batch steps heads"]:
    """What the heads should say at frames 1, 2, ...: reward earned on the way there, state."""
    rewards = (segments.rewards[:, :-1, None] - model.reward_mean) / model.reward_std
    if segments.states is None:
        states = torch.zeros(*rewards.shape[:2], model.state_mean.shape[0], device=rewards.device)
        return torch.cat([rewards, states], -1)
    return torch.cat([rewards, (segments.states[:, 1:] - model.state_mean) / model.state_std], -1)


def _upto(states: State) -> State:
    return State(states.deter[:, :-1], states.stoch[:, :-1])
