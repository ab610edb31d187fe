"""A Gymnasium vector environment of image stacks as stable-baselines3 wants it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from core.imagination.vector_env import Frames, ImaginedVectorEnv


class StackedFrames(VecEnv):
    """`ImaginedVectorEnv` for stable-baselines3: frames on channels, rewards scaled.

    Observation: (3 * context, S, S) uint8, newest frame last. Rewards are multiplied by a fixed
    `reward_scale`, which changes no optimal policy.
    """

    def __init__(self, envs: ImaginedVectorEnv, reward_scale: float = 1.0) -> None:
        self.envs, self.reward_scale = envs, reward_scale
        self.render_mode = None
        space = image_space(envs.model.config.context, envs.model.config.image_size)
        super().__init__(envs.num_envs, space, envs.single_action_space)
        self._chosen = np.zeros((envs.num_envs, envs.model.config.action_dim), np.float32)
        self._earned: list[float] = []

    def reset(self) -> Frames:
        """Start all environments, with the seed that `seed` was given, at spread ages."""
        observation, _ = self.envs.reset(seed=self._seeds[0], options={"spread": True})
        self._reset_seeds()
        return stacked(observation)

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Keep the actions for `step_wait`."""
        self._chosen = actions

    def step_wait(
        self,
    ) -> tuple[Frames, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Imagine one step; an ended episode's last observation is in its info."""
        observation, rewards, terminated, truncated, info = self.envs.step(self._chosen)
        self._earned.append(float(rewards.mean()))
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(done):
            infos[i] = {
                "terminal_observation": stacked(info["final_obs"][i][None])[0],
                "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
            }
        scaled = (rewards * self.reward_scale).astype(np.float32)
        return stacked(observation), scaled, done, infos

    def take_mean_reward(self) -> float:
        """Mean reward, not scaled, since this was last asked."""
        mean = float(np.mean(self._earned))
        self._earned.clear()
        return mean

    def observation(self) -> Frames:
        """Where the environments stand now."""
        return stacked(self.envs.observation())

    def close(self) -> None:
        """Nothing to give back."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """One value for all environments: they are one batch."""
        return [getattr(self, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: the environments are one batch."""
        raise AttributeError(f"imagined environments have no {attr_name!r} of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kw: Any) -> list[Any]:
        """Refused: the environments are one batch."""
        raise AttributeError(f"imagined environments have no {method_name!r} of their own")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """No environment is."""
        return [False] * self.num_envs


def image_space(context: int, image_size: int) -> spaces.Box:
    """What a policy on `context` frames sees.

    Raises:
        ValueError: stable-baselines3 would take the channels for a side of the image.
    """
    if 3 * context >= image_size:
        raise ValueError(
            f"{context} frames of {image_size} pixels have {3 * context} channels, which must be "
            "fewer than the image's side: use a shorter context or larger frames"
        )
    return spaces.Box(0, 255, (3 * context, image_size, image_size), np.uint8)


def stacked(frames: Frames) -> Frames:
    """(batch, context, S, S, 3) to (batch, 3 * context, S, S)."""
    batch, context, height, width, channels = frames.shape
    first = np.moveaxis(frames, -1, 2)
    return np.ascontiguousarray(first).reshape(batch, context * channels, height, width)


def newest(history: Sequence[Frames], context: int) -> Frames:
    """The last `context` frames (each (batch, S, S, 3)); the oldest fills up what is missing."""
    kept = list(history[-context:])
    return np.stack([kept[0]] * (context - len(kept)) + kept, 1)
