"""The loops without a global model: what they do, and that they resume."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core.data.dataset import Dataset
from core.jobs.spec import PolicySpec
from core.local_model.model import LocalConfig, LocalModel
from core.policy.actor_critic import Actor, ActorConfig
from core.recorder import Cancelled, NullRecorder
from core.training.behaviour_cloning import (
    best_episodes,
    cloning_loss,
    filtered,
    train_behaviour_cloning,
)
from core.training.rssm_only import train_rssm_only
from tests.training.makers import Listener, bar_dataset, policy_spec

LOOPS = {"rssm_only": train_rssm_only, "behaviour_cloning": train_behaviour_cloning}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return bar_dataset(tmp_path_factory.mktemp("bar") / "v1")


def models() -> tuple[Actor, LocalModel]:
    torch.manual_seed(0)
    local = LocalModel(LocalConfig(16, 1, 1, deter=32, stoch=8, hidden=32, units=32))
    return Actor(ActorConfig(40, 1, hidden=16)), local


def train(
    loop: Callable[..., None], spec: PolicySpec, dataset: Dataset, listener: Listener, folder: Path
) -> dict[str, torch.Tensor]:
    actor, local = models()
    loop(spec, actor, local, dataset, listener, folder)
    both = nn.ModuleList([actor, local])
    return {k: v.clone() for k, v in both.state_dict().items()}


@pytest.mark.parametrize("name", LOOPS)
def test_stopped_and_resumed_run_equals_uninterrupted_run(
    name: str, dataset: Dataset, tmp_path: Path
) -> None:
    spec, whole, stopped = policy_spec(), Listener(), Listener(stop_after=3)
    expected = train(LOOPS[name], spec, dataset, whole, tmp_path / "whole")
    with pytest.raises(Cancelled):
        train(LOOPS[name], spec, dataset, stopped, tmp_path / "parts")
    stopped.stop_after = None
    found = train(LOOPS[name], spec, dataset, stopped, tmp_path / "parts")
    assert all(torch.equal(found[k], v) for k, v in expected.items())
    assert stopped.learned == whole.learned


def test_cloning_leaves_the_local_model_alone(dataset: Dataset, tmp_path: Path) -> None:
    actor, local = models()
    before = {k: v.clone() for k, v in local.state_dict().items()}
    train_behaviour_cloning(policy_spec(), actor, local, dataset, NullRecorder(), tmp_path)
    assert all(torch.equal(v, before[k]) for k, v in local.state_dict().items())


def test_cloning_overfits_one_batch(dataset: Dataset) -> None:
    actor, local = models()
    torch.manual_seed(0)
    frames, actions = torch.randn(6, 4, 3, 16, 16), torch.empty(6, 4, 1).uniform_(-0.8, 0.8)
    features = filtered(local, frames, actions)
    adam = torch.optim.Adam(actor.parameters(), lr=1e-2)
    for _ in range(300):
        adam.zero_grad()
        loss = cloning_loss(actor, features, actions)
        loss.backward()
        adam.step()
    assert loss.item() < 1e-3
    with torch.no_grad():
        assert (actor(features).mode - actions).abs().mean() < 0.05


def test_cloned_features_are_those_that_a_burn_in_ends_with() -> None:
    _, local = models()
    frames, actions = torch.randn(3, 5, 3, 16, 16), torch.randn(3, 5, 1)
    last = local.burn_in(frames, actions)
    assert torch.allclose(filtered(local, frames, actions)[:, -1], last.features, atol=1e-6)


def test_the_best_episodes_by_reward_are_kept(dataset: Dataset) -> None:
    assert best_episodes(dataset, 1.0) is dataset
    half = best_episodes(dataset, 0.5)
    assert half.validation == dataset.validation
    assert len(half.train) == -(-len(dataset.train) // 2)
    assert dataset.reward is not None
    means = {
        e.start: dataset.reward[e.start : e.start + e.length - 1].mean() for e in dataset.train
    }
    kept = [means.pop(e.start) for e in half.train]
    assert min(kept) >= np.max([*means.values()])


def test_choosing_episodes_without_rewards_is_refused(tmp_path: Path) -> None:
    unlabelled = dataclasses.replace(bar_dataset(tmp_path / "v1", episodes=4), reward=None)
    with pytest.raises(ValueError, match="clone_share to 1"):
        best_episodes(unlabelled, 0.5)
