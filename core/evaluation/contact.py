"""Where logged states show the robot pushing the object."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.envs import push_disc
from core.envs.push_t_physics import ARENA_PX

TOUCH_SLACK_PX = 1.0
"""Gap up to which a logged, rounded state counts as touching."""
MOVED_PX, MOVED_RAD = 0.5, 0.01
"""An object counts as pushed where it moved more than this in one step."""


def touching(task: str | None, state: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether the robot is in contact at each row, (..., length), of states (..., length, dim).

    `push_disc`: the gap of agent and disc is closed, or the disc moved since the row before (a
    glancing push). `push_t`: the T moved or turned since the row before.
    Raises ValueError for a task whose state has no known meaning.
    """
    if task is None or task not in _RULES:
        raise ValueError(
            f"no rule tells contact from the state of task {task!r}; there are rules for "
            f"{', '.join(_RULES)}"
        )
    return _RULES[task](np.asarray(state, np.float64))


def _disc_touched(state: NDArray[np.float64]) -> NDArray[np.bool_]:
    """State: agent xy, disc xy, the arena being [-1, 1]."""
    agent, disc = ((state[..., i : i + 2] + 1) * push_disc.ARENA_PX / 2 for i in (0, 2))
    gap = push_disc.distance(agent, disc)
    return np.asarray((gap <= push_disc.TOUCH_PX + TOUCH_SLACK_PX) | _moved(disc))


def _t_moved(state: NDArray[np.float64]) -> NDArray[np.bool_]:
    """State: agent xy, T xy, cos and sin of its angle, the arena being [-1, 1]."""
    angle = np.arctan2(state[..., 5], state[..., 4])
    turned = np.abs((np.diff(angle) + np.pi) % (2 * np.pi) - np.pi) > MOVED_RAD
    return _moved(state[..., 2:4] * ARENA_PX / 2) | _after_the_first(turned)


def _moved(xy: NDArray[np.float64]) -> NDArray[np.bool_]:
    return _after_the_first(np.linalg.norm(np.diff(xy, axis=-2), axis=-1) > MOVED_PX)


def _after_the_first(changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nothing is known of what happened before the first row."""
    return np.concatenate([np.zeros((*changed.shape[:-1], 1), bool), changed], -1)


_RULES: dict[str, Callable[[NDArray[np.float64]], NDArray[np.bool_]]] = {
    "push_disc": _disc_touched,
    "push_t": _t_moved,
}
