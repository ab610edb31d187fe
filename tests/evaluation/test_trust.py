"""Measures of trust: 1 on real episodes, more on what cannot be, the same each time."""

from pathlib import Path

import pytest
import torch

from core.data.dataset import Dataset
from core.data.windows import Windows
from core.evaluation.trust import LOOKED_AT, Trust
from core.global_model.model import GlobalModel, to_float
from core.policy.rollout import ImaginedRollout
from tests.training.makers import bar_dataset, global_model, local_model

SPAN, CONTEXT = 8, 2


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return bar_dataset(tmp_path_factory.mktemp("bar") / "v1", episodes=12)


@pytest.fixture(scope="module")
def model() -> GlobalModel:
    return global_model().eval()


@pytest.fixture
def trust(dataset: Dataset, model: GlobalModel) -> Trust:
    return Trust(dataset, model, local_model(), SPAN, seed=0)


@pytest.fixture
def real(dataset: Dataset) -> ImaginedRollout:
    """A real held-out batch, dressed as a rollout."""
    batch = Windows(dataset, "validation", SPAN, seed=9).batch(0, LOOKED_AT)
    return dressed(
        to_float(torch.from_numpy(batch["frames"])),
        torch.from_numpy(batch["actions"]),
        torch.from_numpy(batch["reward"]),
    )


def dressed(frames: torch.Tensor, actions: torch.Tensor, rewards: torch.Tensor) -> ImaginedRollout:
    horizon = frames.shape[1] - CONTEXT
    unused = torch.zeros(len(frames), horizon + 1, 1)
    return ImaginedRollout(
        frames=frames,
        past_actions=actions,
        past_rewards=rewards,
        deter=unused,
        stoch=unused,
        noise=unused[:, 1:],
        rewards=rewards[:, CONTEXT - 1 : -1],
        continues=torch.ones(len(frames), horizon),
    )


def test_real_episodes_are_usual(trust: Trust, real: ImaginedRollout) -> None:
    found = trust.measure(real, 1)
    assert found["surprise"] == pytest.approx(1, abs=0.2)
    assert found["reward_gap"] == pytest.approx(1, abs=0.2)
    assert 0 < found["data_distance"] < 1


def test_what_the_model_imagines_itself_disagrees_as_usual(
    trust: Trust, model: GlobalModel, real: ImaginedRollout
) -> None:
    frames, actions, rewards = real.frames, real.past_actions, real.past_rewards
    past = slice(-CONTEXT - 1, -1)
    step = model.step(frames[:, past], actions[:, past], torch.Generator().manual_seed(3))
    frames = torch.cat([frames[:, :-1], step.frame[:, None]], 1)
    rewards = torch.cat([rewards[:, :-2], step.reward[:, None], rewards[:, -1:]], 1)
    found = trust.measure(dressed(frames, actions, rewards), 1)
    assert found["disagreement"] == pytest.approx(1, abs=0.25)


def test_noise_is_far_from_the_data(trust: Trust, real: ImaginedRollout) -> None:
    noise = 2 * torch.rand(real.frames.shape, generator=torch.Generator().manual_seed(0)) - 1
    found = trust.measure(dressed(noise, real.past_actions, real.past_rewards), 1)
    assert found["data_distance"] > 2
    assert found["disagreement"] > 2


def test_wrong_rewards_open_the_gap_alone(trust: Trust, real: ImaginedRollout) -> None:
    usual = trust.measure(real, 1)
    found = trust.measure(dressed(real.frames, real.past_actions, real.past_rewards + 3), 1)
    assert found["reward_gap"] > 2 * usual["reward_gap"]
    for name in ("surprise", "data_distance"):
        assert found[name] == usual[name]


def test_measures_repeat_and_leave_the_local_model_and_randomness_alone(
    dataset: Dataset, model: GlobalModel, real: ImaginedRollout
) -> None:
    local = local_model()
    before = {k: v.clone() for k, v in local.state_dict().items()}
    state = torch.get_rng_state()
    first = Trust(dataset, model, local, SPAN, seed=0).measure(real, 5)
    trained = Trust(dataset, model, local, SPAN, seed=0)
    torch.nn.init.zeros_(local.reward_head[-1].weight)  # the copy does not follow the trained one
    assert trained.measure(real, 5) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(local.rssm.cell.gates.weight, before["rssm.cell.gates.weight"])
    assert all(p.requires_grad for p in local.parameters())


def test_held_out_episodes_shorter_than_a_rollout_will_do(
    tmp_path: Path, model: GlobalModel, real: ImaginedRollout
) -> None:
    short = bar_dataset(tmp_path / "v1", length=CONTEXT + 2)
    found = Trust(short, model, local_model(), SPAN, seed=0).measure(real, 1)
    assert all(value > 0 for value in found.values())
