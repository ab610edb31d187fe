"""stable-baselines3's PPO in imagination: the adapter, the weights, the loop."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.baselines.ppo import PPOPolicy, PPOSpec, PPOTrainer, train_ppo
from core.baselines.sb3_env import StackedFrames, image_space, newest, stacked
from core.data.dataset import Dataset
from core.global_model.model import GlobalConfig, GlobalModel
from core.imagination.vector_env import ImaginedVectorEnv
from core.recorder import Cancelled, NullRecorder
from tests.training.makers import Listener

SCALE = 0.25


def spec(**changes: Any) -> PPOSpec:
    small = {"steps": 3, "environments": 4, "horizon": 4, "max_age": 6, "save_every": 2}
    return PPOSpec.model_validate(small | {"batch_size": 8, "epochs": 2} | changes)


def weights(trainer: PPOTrainer) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in trainer.ppo.policy.state_dict().items()}


@pytest.fixture(scope="module")
def trained(model: GlobalModel, dataset: Dataset, tmp_path_factory: Any) -> PPOTrainer:
    trainer = PPOTrainer(spec(), model, dataset)
    train_ppo(trainer, NullRecorder(), tmp_path_factory.mktemp("whole"))
    return trainer


def test_adapter_says_what_the_vector_environment_says(
    model: GlobalModel, dataset: Dataset
) -> None:
    plain = ImaginedVectorEnv(model, dataset, 3, max_age=4)
    adapted = StackedFrames(ImaginedVectorEnv(model, dataset, 3, max_age=4), SCALE)
    adapted.seed(5)
    first, _ = plain.reset(seed=5, options={"spread": True})
    assert np.array_equal(adapted.reset(), stacked(first))
    rng, ends = np.random.default_rng(0), 0
    for _ in range(6):
        actions = rng.uniform(-1, 1, (3, 1)).astype(np.float32)
        observation, rewards, terminated, truncated, info = plain.step(actions)
        seen, scaled, done, infos = adapted.step(actions)
        assert np.array_equal(seen, stacked(observation))
        assert seen[0] in adapted.observation_space
        assert np.allclose(scaled, rewards * SCALE)
        assert np.array_equal(done, terminated | truncated)
        for i in range(3):
            assert ("terminal_observation" in infos[i]) == done[i]
        for i in np.flatnonzero(done):
            ends += 1
            last = info["final_obs"][i][None]
            assert np.array_equal(infos[i]["terminal_observation"], stacked(last)[0])
            assert infos[i]["TimeLimit.truncated"]
    assert ends >= 3


def test_newest_frame_is_last_and_the_first_fills_up() -> None:
    frames = [np.full((1, 8, 8, 3), n, np.uint8) for n in (1, 2, 3)]
    assert [newest(frames, 2)[0, i, 0, 0, 0] for i in range(2)] == [2, 3]
    assert [newest(frames[:1], 2)[0, i, 0, 0, 0] for i in range(2)] == [1, 1]
    channels = stacked(newest(frames, 2))[0, :, 0, 0]
    assert channels.tolist() == [2, 2, 2, 3, 3, 3]


def test_a_context_with_too_many_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter context"):
        image_space(6, 16)


def test_weights_survive_save_and_load(trained: PPOTrainer, tmp_path: Path) -> None:
    policy = trained.policy
    policy.save(tmp_path)
    assert {p.suffix for p in tmp_path.iterdir()} == {".json", ".safetensors"}
    loaded = PPOPolicy.load(tmp_path)
    rng = np.random.default_rng(0)
    seen = [{"pixels": rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)} for _ in range(5)]
    for one in (policy, loaded):
        one.reset(5, 0)
    for _ in range(3):
        mine, theirs = policy.act(seen), loaded.act(seen)
        assert np.array_equal(mine, theirs)
        assert (mine.shape, mine.dtype) == ((5, 1), np.float32)
        assert (np.abs(mine) <= 1).all()


def test_a_policy_forgets_when_reset(trained: PPOTrainer) -> None:
    policy = trained.policy
    seen = [{"pixels": np.full((16, 16, 3), v, np.uint8)} for v in (0, 200)]
    policy.reset(1, 0)
    first = policy.act(seen[:1])
    policy.act(seen[1:])
    policy.reset(1, 0)
    assert np.array_equal(first, policy.act(seen[:1]))


def test_same_seed_same_weights_and_another_seed_others(
    trained: PPOTrainer, model: GlobalModel, dataset: Dataset, tmp_path: Path
) -> None:
    def run(seed: int) -> dict[str, torch.Tensor]:
        trainer = PPOTrainer(spec(seed=seed), model, dataset)
        train_ppo(trainer, NullRecorder(), tmp_path / str(seed))
        return weights(trainer)

    expected = weights(trained)
    assert all(torch.equal(v, expected[k]) for k, v in run(0).items())
    assert not all(torch.equal(v, expected[k]) for k, v in run(1).items())


def test_stopped_and_resumed_run_equals_uninterrupted_run(
    trained: PPOTrainer, model: GlobalModel, dataset: Dataset, tmp_path: Path
) -> None:
    stopped = Listener(stop_after=1)
    with pytest.raises(Cancelled):
        train_ppo(PPOTrainer(spec(), model, dataset), stopped, tmp_path)
    stopped.stop_after = None
    again = PPOTrainer(spec(), model, dataset)
    train_ppo(again, stopped, tmp_path)
    expected = weights(trained)
    assert all(torch.equal(v, expected[k]) for k, v in weights(again).items())
    assert [s for s, _ in stopped.values] == [1, 2, 3]
    assert again.frames == 3 * 4 * 4


def test_learning_rate_falls_to_its_last_share(trained: PPOTrainer) -> None:
    rate = trained.ppo.policy.optimizer.param_groups[0]["lr"]
    assert rate == pytest.approx(spec().learning_rate / 3)


def test_a_bright_reward_is_learned(dataset: Dataset, tmp_path: Path) -> None:
    """In a world whose reward is the action, the policy's action rises."""
    torch.manual_seed(0)
    world = GlobalModel(GlobalConfig(16, 1, 2, 4, (32, 32), 1, 10.0, 1, bf16=False)).eval()
    head = world.reward.head
    with torch.no_grad():
        for layer in (head[0], head[2]):
            layer.weight.zero_()
            layer.bias.zero_()
        head[0].weight[0, -1] = 1.0  # silu of the action, which rises with it
        head[2].weight[0, 0] = 4.0
        head[2].bias[1] = -20.0
    trainer = PPOTrainer(
        spec(steps=8, horizon=8, batch_size=16, learning_rate=1e-2), world, dataset
    )
    listener = Listener()
    train_ppo(trainer, listener, tmp_path)
    rewards = [v["policy/imagined_reward"] for _, v in listener.values]
    assert np.mean(rewards[-2:]) > np.mean(rewards[:2]) + 0.5
