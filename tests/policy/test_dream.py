"""Without the global model: the dream is the local model's own rollout."""

import pytest
import torch
from torch import Tensor

from core.local_model.model import LocalConfig, LocalModel
from core.local_model.rssm import State
from core.policy.actor_critic import Actor, ActorConfig
from core.policy.dream import dream, dream_path
from core.policy.rollout import local_path

HORIZON = 5


@pytest.fixture
def local() -> LocalModel:
    torch.manual_seed(0)
    config = LocalConfig(16, 2, 0, deter=16, stoch=4, hidden=16, units=16, bf16=False)
    return LocalModel(config).requires_grad_(False)


@pytest.fixture
def actor() -> Actor:
    torch.manual_seed(1)
    return Actor(ActorConfig(20, 2, hidden=16))


def start() -> tuple[State, Tensor]:
    torch.manual_seed(2)
    return State(torch.randn(3, 16), torch.randn(3, 4)), torch.randn(3, HORIZON, 2)


def gradient(total: Tensor, actor: Actor) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, [*actor.parameters()])])


def test_a_dream_is_the_local_models_rollout(local: LocalModel, actor: Actor) -> None:
    state, noise = start()
    found = dream(state, noise, actor, local)
    for t in range(HORIZON):
        assert torch.equal(found.features[:, t], state.features)
        state = local.rssm.imagine(state, actor(state.features).action(noise[:, t]))
        assert torch.equal(found.rewards[:, t], local.reward(state))
    assert torch.equal(found.features[:, HORIZON], state.features)
    assert (found.continues == 1).all()


def test_in_a_dream_the_swap_changes_nothing(local: LocalModel, actor: Actor) -> None:
    """Observed and predicted states are the same there: so are values and gradients."""
    state, noise = start()
    path = dream_path(state, noise, actor, local)
    swapped = local_path(dream(state, noise, actor, local), actor, local)
    assert torch.allclose(path.rewards, swapped.rewards)
    assert torch.allclose(path.entropy, swapped.entropy)
    assert torch.allclose(path.last, swapped.last)
    mine, theirs = gradient(path.rewards.sum(), actor), gradient(swapped.rewards.sum(), actor)
    assert torch.allclose(mine, theirs, atol=1e-5)
