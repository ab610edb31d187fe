"""The imagined vector environment keeps Gymnasium's promises."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_action_space, check_observation_space
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from core.data.dataset import Dataset
from core.global_model.model import GlobalConfig, GlobalModel
from core.imagination.vector_env import ImaginedVectorEnv
from tests.training.makers import bar_dataset

MAX_AGE = 5


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return bar_dataset(tmp_path_factory.mktemp("bar") / "v1")


@pytest.fixture(scope="module")
def model() -> GlobalModel:
    torch.manual_seed(0)
    config = GlobalConfig(16, 1, 2, 4, (32, 32), 1, 10.0, 1, bf16=False)
    model = GlobalModel(config).eval()
    with torch.no_grad():
        model.reward.head[-1].bias[1] = -20.0  # an untrained end head would end at random
    return model


def make(model: GlobalModel, dataset: Dataset, num_envs: int) -> ImaginedVectorEnv:
    return ImaginedVectorEnv(model, dataset, num_envs, MAX_AGE)


def actions(steps: int, num_envs: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (steps, num_envs, 1)).astype(np.float32)


def play(envs: ImaginedVectorEnv, sequence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Observations and rewards of a sequence of actions."""
    found = [envs.step(row)[:2] for row in sequence]
    return np.stack([o for o, _ in found]), np.stack([r for _, r in found])


def test_spaces_hold_what_is_returned(model: GlobalModel, dataset: Dataset) -> None:
    envs = make(model, dataset, 3)
    check_observation_space(envs.single_observation_space)
    check_action_space(envs.single_action_space)
    observation, info = envs.reset(seed=1)
    assert observation in envs.observation_space
    assert info == {}
    envs.action_space.seed(0)
    for _ in range(MAX_AGE + 2):
        observation, rewards, terminated, truncated, _ = envs.step(envs.action_space.sample())
        assert observation in envs.observation_space
        assert observation[0] in envs.single_observation_space
        assert (rewards.shape, rewards.dtype) == ((3,), np.float64)
        assert np.isfinite(rewards).all()
        assert (terminated.dtype, truncated.dtype) == (bool, bool)


def test_same_seed_same_trajectory_and_the_next_seed_another(
    model: GlobalModel, dataset: Dataset
) -> None:
    envs, sequence = make(model, dataset, 2), actions(MAX_AGE + 3, 2)

    def trajectory(seed: int) -> np.ndarray:
        first, _ = envs.reset(seed=seed)
        return np.concatenate([first[None], play(envs, sequence)[0]])

    one = trajectory(7)
    assert np.array_equal(one, trajectory(7))
    assert not np.array_equal(one, trajectory(8))


def test_an_environment_of_a_batch_equals_a_single_one(
    model: GlobalModel, dataset: Dataset
) -> None:
    batch, single = make(model, dataset, 3), make(model, dataset, 1)
    sequence = actions(MAX_AGE + 3, 3)
    assert np.array_equal(batch.reset(seed=3)[0][:1], single.reset(seed=3)[0])
    frames, rewards = play(batch, sequence)
    alone, earned = play(single, sequence[:, :1])
    assert np.abs(frames[:, :1].astype(int) - alone.astype(int)).max() <= 1
    assert np.allclose(rewards[:, :1], earned, atol=1e-2)


def test_a_step_is_the_global_models_step(model: GlobalModel, dataset: Dataset) -> None:
    envs = make(model, dataset, 2)
    envs.reset(seed=0)
    frames, taken, action = envs.frames, envs.actions.clone(), actions(1, 2)[0]
    generators = [torch.Generator() for _ in range(2)]
    for mine, theirs in zip(generators, envs.generators, strict=True):
        mine.set_state(theirs.get_state())
    noise = torch.cat([model.noise(1, g, torch.device("cpu")) for g in generators])
    taken[:, -1] = torch.from_numpy(action)
    expected = model.step(frames, taken, generators[0], noise)
    observation, rewards, *_ = envs.step(action)
    newest = torch.from_numpy(observation[:, -1]).movedim(-1, 1).float() / 127.5 - 1
    assert torch.allclose(newest, expected.frame, atol=1e-6)
    assert np.allclose(rewards, expected.reward.numpy())


def test_an_ended_episode_begins_anew_in_the_same_step(
    model: GlobalModel, dataset: Dataset
) -> None:
    envs = make(model, dataset, 2)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    envs.reset(seed=0, options={"spread": True})
    logged = {f.tobytes() for f in dataset.frames}
    for row in actions(3, 2):
        *_, truncated, info = envs.step(row)
        assert not truncated.any()
        assert info == {}
    observation, _, terminated, truncated, info = envs.step(actions(1, 2)[0])
    assert truncated.tolist() == [False, True]  # its first episode was one step shorter
    assert not terminated.any()
    assert info["_final_obs"].tolist() == [False, True]
    assert info["final_obs"][0] is None
    assert info["final_obs"][1] in envs.single_observation_space
    assert info["final_obs"][1][-1].tobytes() not in logged  # imagined
    assert observation[1, -1].tobytes() in logged  # real
    assert envs.age.tolist() == [4, 0]


def test_the_end_head_terminates(model: GlobalModel, dataset: Dataset) -> None:
    envs = make(model, dataset, 2)
    envs.reset(seed=0)
    bias = model.reward.head[-1].bias
    with torch.no_grad():
        bias[1] = 20.0
    try:
        _, _, terminated, truncated, info = envs.step(actions(1, 2)[0])
    finally:
        with torch.no_grad():
            bias[1] = -20.0
    assert terminated.all()
    assert not truncated.any()
    assert info["_final_obs"].all()


def test_a_saved_environment_goes_on_where_it_was(model: GlobalModel, dataset: Dataset) -> None:
    envs, other = make(model, dataset, 2), make(model, dataset, 2)
    envs.reset(seed=0)
    play(envs, actions(MAX_AGE - 1, 2))
    other.load_state_dict({k: v.clone() for k, v in envs.state_dict().items()})
    sequence = actions(MAX_AGE, 2, seed=1)
    for mine, theirs in zip(play(envs, sequence), play(other, sequence), strict=True):
        assert np.array_equal(mine, theirs)


def test_gymnasiums_own_wrapper_counts_its_episodes(model: GlobalModel, dataset: Dataset) -> None:
    envs = RecordEpisodeStatistics(make(model, dataset, 2))
    envs.reset(seed=0)
    for row in actions(MAX_AGE, 2):
        *_, info = envs.step(row)
    assert info["episode"]["l"].tolist() == [MAX_AGE] * 2


@pytest.mark.parametrize("bad", [np.zeros((3, 1)), np.zeros(2), np.full((2, 1), np.nan)])
def test_bad_actions_are_refused(model: GlobalModel, dataset: Dataset, bad: np.ndarray) -> None:
    envs = make(model, dataset, 2)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="actions must be finite numbers of shape"):
        envs.step(bad)


def test_a_dataset_of_another_size_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    model = GlobalModel(GlobalConfig(32, 1, 2, 4, (32, 32), 1, 10.0, 1))
    with pytest.raises(ValueError, match="32 x 32"):
        make(model, dataset, 1)
