"""Tasks with a true simulator: they make logs and judge policies; training never touches them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from core.envs.policies import Policy, PushDiscExpert
from core.envs.push_disc import PushDiscEnv
from core.envs.push_disc_play import PushDiscPlay
from core.envs.push_t import PushTEnv
from core.envs.push_t_play import MAX_STEP_PX, PushTPlay
from core.envs.push_t_play import play_start as push_t_play_start
from core.envs.push_t_reward import PoseReward
from core.envs.relative_action import RelativeAction


@dataclass(frozen=True)
class Task:
    """A true simulator with its scripted policies."""

    make: Callable[..., gym.Env[Any, Any]]
    play: Callable[[], Policy]
    """Exploration that makes logs."""
    expert: Callable[[], Policy] | None
    """Reference that judges learned policies, if the task has one."""
    play_start: Callable[[np.random.Generator], dict[str, Any] | None] = lambda rng: None
    """`options` of the reset that an episode of play begins with."""


def _relative_push_t(image_size: int, **options: Any) -> gym.Env[Any, Any]:
    env = PushTEnv("pixels_state", image_size=image_size, **options)
    return RelativeAction(PoseReward(env), MAX_STEP_PX)


TASKS = {
    "push_disc": Task(PushDiscEnv, PushDiscPlay, PushDiscExpert),
    "push_t": Task(_relative_push_t, PushTPlay, None, push_t_play_start),
}


def make_task(name: str, image_size: int = 64, **options: Any) -> gym.Env[Any, Any]:
    """The task's environment: observations `pixels` (S, S, 3) uint8 and `state` (D,) float32 in
    [-1, 1], relative actions in [-1, 1], exact `get_state` and `set_state`.

    Raises:
        ValueError: there is no such task.
    """
    if name not in TASKS:
        raise ValueError(f"no task {name!r}; there are {', '.join(TASKS)}")
    return TASKS[name].make(image_size=image_size, **options)


gym.register("foglab/PushDisc-v0", "core.envs.push_disc:PushDiscEnv")
gym.register("foglab/PushT-v0", "core.envs.push_t:PushTEnv")
