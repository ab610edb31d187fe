"""Gradient distillation: counterfactual pairs of the global model teach the local one."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import Adam

from core.global_model.model import GlobalConfig, GlobalModel
from core.local_model.losses import Segments
from core.local_model.model import LocalConfig, LocalModel
from core.policy.distillation import Distillation, Pairs, distillation_loss, imagine_pairs, shifted

HOW = Distillation(steps=3, shift=0.4)


@pytest.fixture(scope="module")
def world() -> GlobalModel:
    torch.manual_seed(0)
    config = GlobalConfig(16, 2, 2, 4, (32, 32), 1, 10.0, 1, bf16=False)
    model = GlobalModel(config).eval()
    model.denoiser.net.conv_out.weight.data.normal_(std=0.1)  # an untrained one ignores actions
    return model


@pytest.fixture
def segments() -> Segments:
    generator = torch.Generator().manual_seed(1)
    frames = torch.rand(6, 6, 3, 16, 16, generator=generator) * 2 - 1
    actions = torch.rand(6, 6, 2, generator=generator) * 2 - 1
    return Segments(frames, actions, torch.zeros(6, 6))


def local_model() -> LocalModel:
    torch.manual_seed(0)
    return LocalModel(LocalConfig(16, 2, 0, 32, 8, 32, 32, 32, bf16=False))


@given(st.integers(0, 10**6), st.floats(0.05, 1.0))
@settings(max_examples=50)
def test_shifted_actions_stay_in_the_box_and_move_by_the_shift(seed: int, length: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    base = torch.rand(8, 3, 2, generator=generator) * 2 - 1
    moved = shifted(base, length, generator)
    distance = (moved - base).norm(dim=-1)
    assert moved.abs().max() <= 1
    assert (distance <= length + 1e-5).all()
    inside = (moved.abs() < 1).all(-1)
    torch.testing.assert_close(distance[inside], torch.full_like(distance[inside], length))


def test_branches_differ_by_nothing_but_their_actions(
    world: GlobalModel, segments: Segments
) -> None:
    still = dataclasses.replace(HOW, shift=0.0)
    same = imagine_pairs(world, segments, still, torch.Generator().manual_seed(0))
    assert torch.equal(same.rewards[0], same.rewards[1])
    other = imagine_pairs(world, segments, HOW, torch.Generator().manual_seed(0))
    assert not torch.equal(other.rewards[0], other.rewards[1])


def test_pairs_continue_the_segment_with_its_own_actions(
    world: GlobalModel, segments: Segments
) -> None:
    own = dataclasses.replace(HOW, random_share=0.0)
    pairs = imagine_pairs(world, segments, own, torch.Generator().manual_seed(0))
    assert pairs.frames.shape[1] == 4
    assert torch.equal(pairs.frames, segments.frames[:, :4])
    assert torch.equal(pairs.actions[0], segments.actions[:, 3:6])


def test_random_base_actions_are_held(world: GlobalModel, segments: Segments) -> None:
    held = dataclasses.replace(HOW, random_share=1.0)
    pairs = imagine_pairs(world, segments, held, torch.Generator().manual_seed(0))
    assert torch.equal(pairs.actions[0, :, 0], pairs.actions[0, :, 2])
    assert not torch.equal(pairs.actions[0, :, 0], segments.actions[:, 3])


def test_distillation_teaches_the_slope_that_the_pairs_show() -> None:
    """Rewards 0.5 + 0.3 a_x - 0.2 a_y: the local gradient must become (0.3, -0.2)."""
    local, generator = local_model(), torch.Generator().manual_seed(0)
    optimizer = Adam(local.parameters(), lr=3e-3)
    slope = torch.tensor([0.3, -0.2])
    for _ in range(250):
        frames, past = torch.zeros(32, 2, 3, 16, 16), torch.zeros(32, 2, 2)
        base = torch.rand(32, 1, 2, generator=generator) * 2 - 1
        actions = torch.stack([base, shifted(base, 0.4, generator)])
        pairs = Pairs(frames, past, actions, 0.5 + actions @ slope)
        loss = torch.stack(list(distillation_loss(local, pairs, HOW).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    start = local.burn_in(torch.zeros(1, 2, 3, 16, 16), torch.zeros(1, 2, 2))
    action = torch.zeros(1, 2, requires_grad=True)
    reward = local.reward(local.rssm.imagine(start, action)).sum()
    torch.testing.assert_close(
        torch.autograd.grad(reward, action)[0][0], slope, atol=0.05, rtol=0.0
    )
