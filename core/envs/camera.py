"""The true simulator seen as ingested logs show it."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from core.envs import make_task
from core.pictures import shrunk

CAMERA_SIZE = 64
"""Side in pixels of the frames that `make_logs` and the demo record."""


class ShrunkPixels(gym.ObservationWrapper[Any, Any, Any]):
    """`pixels` averaged down to `image_size`, exactly as ingest does it with logged frames."""

    def __init__(self, env: gym.Env[Any, Any], image_size: int) -> None:
        super().__init__(env)
        self.image_size = image_size
        kept = dict(env.observation_space.spaces)  # type: ignore[attr-defined]
        kept["pixels"] = spaces.Box(0, 255, (image_size, image_size, 3), np.uint8)
        self.observation_space = spaces.Dict(kept)

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        pixels = shrunk(observation["pixels"], self.image_size, self.image_size)
        return observation | {"pixels": pixels}


def make_judge(task: str, image_size: int) -> gym.Env[Any, Any]:
    """The task's simulator with the frames that a model of `image_size` was trained on."""
    if image_size >= CAMERA_SIZE:
        return make_task(task, image_size)
    return ShrunkPixels(make_task(task, CAMERA_SIZE), image_size)
