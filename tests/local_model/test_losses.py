"""The local model's losses against closed forms, and their effect."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal
from torch.distributions import kl_divergence as torch_kl

from core.local_model.losses import (
    LossWeights,
    Segments,
    balanced_kl,
    kl_divergence,
    local_loss,
)
from core.local_model.model import LocalConfig, LocalModel
from core.local_model.rssm import Gaussian, State


def gaussian(mean: float, std: float) -> Gaussian:
    return Gaussian(torch.tensor([[mean, 0.0]]), torch.tensor([[std, 1.0]]))


numbers = st.floats(-3, 3)
deviations = st.floats(0.1, 3)


@given(numbers, deviations, numbers, deviations)
def test_kl_equals_torch(m1: float, s1: float, m2: float, s2: float) -> None:
    ours = kl_divergence(gaussian(m1, s1), gaussian(m2, s2))
    theirs = torch_kl(Normal(m1, s1), Normal(m2, s2))
    torch.testing.assert_close(ours[0], theirs.float(), atol=1e-4, rtol=1e-4)


def test_kl_halves_pull_only_their_own_side() -> None:
    mean = torch.zeros(1, 4, requires_grad=True)
    posterior = Gaussian(mean, torch.ones(1, 4))
    prior_mean = torch.full((1, 4), 2.0, requires_grad=True)
    prior = Gaussian(prior_mean, torch.ones(1, 4))
    weights = LossWeights(kl_dyn=1.0, kl_rep=0.25, free_nats=0.0)
    to_posterior, to_prior = torch.autograd.grad(
        balanced_kl(posterior, prior, weights), (mean, prior_mean)
    )
    torch.testing.assert_close(to_posterior, -0.25 * to_prior)


def test_kl_below_the_free_nats_has_no_gradient() -> None:
    mean = torch.full((1, 1), 0.1, requires_grad=True)
    loss = balanced_kl(
        Gaussian(mean, torch.ones(1, 1)),
        Gaussian(torch.zeros(1, 1), torch.ones(1, 1)),
        LossWeights(),
    )
    assert torch.autograd.grad(loss, mean, allow_unused=True)[0].item() == 0


def tiny() -> LocalModel:
    torch.manual_seed(0)
    config = LocalConfig(16, 1, 2, deter=32, stoch=8, hidden=32, units=32, embed=16, bf16=False)
    return LocalModel(config)


def line_world(batch: int, length: int) -> Segments:
    """A bright bar whose place is the sum of the actions; the reward is its place."""
    generator = torch.Generator().manual_seed(1)
    actions = torch.rand(batch, length, 1, generator=generator) * 2 - 1
    start = torch.rand(batch, 1, 1, generator=generator) * 8 + 4
    places = start + torch.cat([torch.zeros(batch, 1, 1), actions.cumsum(1)[:, :-1]], 1)
    columns = torch.arange(16.0)
    bars = torch.exp(-((columns - places) ** 2) / 4)
    frames = bars[:, :, None, None, :].expand(-1, -1, 3, 16, -1) * 2 - 1
    rewards = torch.cat([places[:, 1:, 0], places[:, -1:, 0]], 1)
    return Segments(frames, actions, rewards, places.expand(-1, -1, 2).contiguous())


def fit(model: LocalModel, segments: Segments, steps: int) -> dict[str, float]:
    model.reward_mean.fill_(segments.rewards.mean())
    model.reward_std.fill_(segments.rewards.std())
    assert segments.states is not None
    model.state_mean.copy_(segments.states.mean((0, 1)))
    model.state_std.copy_(segments.states.std((0, 1)))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        losses = local_loss(model, segments, LossWeights(), generator)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    return {name: loss.item() for name, loss in losses.items()}


def test_local_model_learns_what_an_action_does() -> None:
    """In the line world the derivative of the reward by the action is 1 everywhere."""
    model, segments = tiny(), line_world(16, 10)
    losses = fit(model, segments, 150)
    assert losses["reward_change"] < 0.2 * LossWeights().reward_change
    with torch.no_grad():
        state = model.burn_in(segments.frames[:, :5], segments.actions[:, :5])
    action = segments.actions[:, 4].clone().requires_grad_()
    reward = model.reward(model.rssm.imagine(state, action)).sum()
    slope = torch.autograd.grad(reward, action)[0]
    assert slope.mean().item() == pytest.approx(1.0, abs=0.25)
    assert (slope > 0).all()


def test_losses_without_state_labels_leave_them_out() -> None:
    segments = line_world(2, 6)
    bare = Segments(segments.frames, segments.actions, segments.rewards)
    losses = local_loss(tiny(), bare, LossWeights(), torch.Generator())
    assert set(losses) == {"frame", "kl", "reward", "reward_change"}
    assert all(math.isfinite(loss.item()) for loss in losses.values())


def test_burn_in_of_one_frame_is_one_filtering_step() -> None:
    model, segments = tiny(), line_world(2, 6)
    state = model.burn_in(segments.frames[:, :1], segments.actions[:, :1])
    expected = model.rssm.observe(
        model.rssm.initial(2, torch.device("cpu")),
        torch.zeros(2, 1),
        model.encode(segments.frames[:, 0]),
    )
    torch.testing.assert_close(State(*state).features, expected.features)
