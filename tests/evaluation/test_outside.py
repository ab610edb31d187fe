"""An exported policy in environments that know nothing of it."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from core.data.shaping import Shaping
from core.envs.camera import make_judge
from core.evaluation.outside import Episode, make_env, run_policy, shaped
from core.evaluation.success import LearnedBatch, run_episodes
from core.local_model.model import LocalConfig, LocalModel
from core.policy.actor_critic import Actor, ActorConfig
from core.policy.runners import Runner, of_module, open_model
from core.policy.step import PolicyStep

SIZE = 16


class Room(gym.Env[Any, Any]):
    """Sends the picture of its choice; counts what it is told to do."""

    action_space = gym.spaces.Box(-2.0, 4.0, (2,), np.float32)

    def __init__(self, shape: tuple[int, ...] = (20, 30, 3), key: str | None = None) -> None:
        picture = gym.spaces.Box(0, 255, shape, np.uint8)
        self.key = key
        self.observation_space = gym.spaces.Dict({key: picture}) if key else picture
        self.told: list[Any] = []

    def _seen(self) -> Any:
        box = self.observation_space[self.key] if self.key else self.observation_space
        picture = np.full(box.shape, 10 * len(self.told) % 256, np.uint8)
        return {self.key: picture} if self.key else picture

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        self.told.append(action)
        return self._seen(), 1.0, len(self.told) % 3 == 0, False, {}


def parts() -> tuple[Actor, LocalModel]:
    torch.manual_seed(3)
    local = LocalModel(LocalConfig(SIZE, 2, 1, 32, 8, 32, 32, bf16=False)).eval()
    actor = Actor(ActorConfig(40, 2, 16)).eval()
    torch.nn.init.normal_(actor.net[-1].weight, std=0.5)
    return actor, local


def runner() -> Runner:
    step = PolicyStep.of(*parts())
    return Runner(step.sizes(), "policy", of_module(step))


def played(env: gym.Env[Any, Any], **options: Any) -> list[Episode]:
    return list(run_policy(runner(), env, 2, 7, **options))


@pytest.mark.parametrize("task", ["push_disc", "push_t"])
def test_outside_a_task_the_policy_does_what_evaluation_saw(task: str) -> None:
    outcome = run_episodes(lambda: make_judge(task, SIZE), LearnedBatch(*parts()), 2, 7, 12)
    found = played(make_env(task, SIZE), max_steps=12)
    np.testing.assert_allclose([e.reward for e in found], outcome.returns, rtol=1e-4)
    assert [e.success for e in found] == outcome.ever.tolist()
    assert [e.steps for e in found] == [12, 12]


def test_pictures_are_found_in_observations_and_renderings() -> None:
    for env in (Room(), Room(key="image"), Room((3, 20, 30))):
        found = played(env, keep_frames=1)
        assert [e.steps for e in found] == [3, 3]
        assert [len(e.frames) for e in found] == [4, 0]
        assert found[0].success is None
    drawn = played(make_env("foglab/PushDisc-v0", SIZE), max_steps=1)
    assert drawn[0].steps == 1


def test_frames_are_shaped_as_ingest_shaped_them() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    told = {"image_size": 8, "pictures": {"crop": [4, 2, 20, 16], "flip": "both", "fit": "pad"}}
    found = shaped(picture, told)
    layout_free = Shaping(fit="pad").apply(
        picture[None, 2:18, 4:24][:, ::-1, ::-1], _layout(16, 20), 8, 8
    )
    np.testing.assert_array_equal(found, layout_free[0])


def test_actions_are_clipped_or_stretched_to_the_bounds() -> None:
    raw, wide = Room(), Room()
    played(raw)
    played(wide, scale_actions=True)
    first, stretched = np.array(raw.told[0]), np.array(wide.told[0])
    np.testing.assert_allclose(stretched, -2 + (first + 1) * 3, atol=1e-5)
    assert first.dtype == np.float32


def test_drawn_actions_follow_the_seed() -> None:
    rooms = [Room(), Room(), Room()]
    for room, sample in zip(rooms, (True, True, False), strict=True):
        played(room, sample=sample)
    drawn, again, likeliest = (np.array(room.told) for room in rooms)
    np.testing.assert_array_equal(drawn, again)
    assert np.abs(drawn - likeliest).min() > 1e-4


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wants Discrete"):
        played(gym.make("CartPole-v1", render_mode="rgb_array"))
    with pytest.raises(ValueError, match="no part 'eye'; it has image"):
        played(Room(key="image"), image_key="eye")
    with pytest.raises(ValueError, match="cannot make the environment 'Nowhere-v9'"):
        make_env("Nowhere-v9", SIZE)
    with pytest.raises(ValueError, match="cannot make the environment 'no_module:Env'"):
        make_env("no_module:Env", SIZE)
    with pytest.raises(ValueError, match=r"no gymnasium\.Env"):
        make_env("pathlib:Path", SIZE)
    with pytest.raises(ValueError, match="no local model"):
        open_model(tmp_path)
    blind = Room(key="state")
    with pytest.raises(ValueError, match="render_mode 'rgb_array'"):
        played(blind)


def _layout(height: int, width: int) -> Any:
    from core.data.pixels import Layout

    return Layout(height, width, False)
