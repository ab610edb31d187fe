"""Scripted policies: references for judging learned ones, and play that makes logs."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from core.envs.push_disc import (
    AGENT_RADIUS_PX,
    ARENA_PX,
    GOAL,
    MAX_STEP_PX,
    TOUCH_PX,
    distance,
    push_point,
)

Array = NDArray[np.float64]
Action = NDArray[np.float32]
Observation = Mapping[str, NDArray[Any]]

REACH_PX = 0.944 * MAX_STEP_PX
"""What the agent covers in a step at full action."""


@runtime_checkable
class Policy(Protocol):
    """Something that acts on observations."""

    def reset(self, rng: np.random.Generator) -> None:
        """Begin an episode; all chance comes from `rng`."""

    def act(self, observation: Observation) -> Action:
        """The action, (A,) float32 in [-1, 1]."""


class RandomPolicy:
    """Uniform actions."""

    def __init__(self, action_dim: int = 2) -> None:
        self.action_dim = action_dim

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, observation: Observation) -> Action:
        return self._rng.uniform(-1, 1, self.action_dim).astype(np.float32)


class PushDiscExpert:
    """Goes round the disc without touching it, pushes it to the goal and stops."""

    def reset(self, rng: np.random.Generator) -> None:
        pass

    def act(self, observation: Observation) -> Action:
        agent, disc = positions(observation)
        if distance(disc, GOAL) < 2:
            return np.zeros(2, np.float32)
        return to_action(push_move(agent, disc, GOAL)).astype(np.float32)


def positions(observation: Observation) -> tuple[Array, Array]:
    """Agent and disc of an observation's `state`, (2,) each in pixels."""
    xy = (observation["state"].astype(np.float64) + 1) * (ARENA_PX / 2)
    return xy[:2], xy[2:4]


def to_action(move: Array) -> Array:
    """A displacement in pixels as an action in [-1, 1]: shortened, not bent."""
    action = move / REACH_PX
    return np.asarray(action / max(1.0, float(np.abs(action).max())))


def push_move(agent: Array, disc: Array, target: Array) -> Array:
    """Displacement in pixels that brings the disc towards the target, or the agent behind it.

    Inside the friction cone the disc moves with the agent, so that the move is the disc's error.
    """
    error = target - disc
    away = agent - disc
    gap = float(np.linalg.norm(away))
    cosine = -float(away @ error) / (gap * float(np.linalg.norm(error)) + 1e-9)
    if gap < TOUCH_PX + 8 and cosine > 0.85:
        closing = away * (TOUCH_PX / gap - 1)
        return np.asarray(error + closing)
    return go_round(agent, disc, push_point(disc, target))


def go_round(agent: Array, disc: Array, place: Array) -> Array:
    """Displacement in pixels towards a place, on a way that keeps off the disc."""
    way = place - agent
    along = np.clip((disc - agent) @ way / (way @ way + 1e-9), 0, 1)
    nearest = agent + along * way
    if along == 1 or distance(nearest, disc) > TOUCH_PX + 4:
        return np.asarray(way)
    bearing = float(np.arctan2(*(agent - disc)[::-1]))
    turn = float(np.arctan2(*(place - disc)[::-1])) - bearing
    sign = 1 if np.sin(turn) >= 0 else -1
    for direction in (sign, -sign):
        angle = bearing + 0.35 * direction
        ring = disc + (TOUCH_PX + 14) * np.array([np.cos(angle), np.sin(angle)])
        waypoint = np.clip(ring, AGENT_RADIUS_PX, ARENA_PX - AGENT_RADIUS_PX)
        if distance(waypoint, disc) > TOUCH_PX:  # the wall leaves room
            break
    return np.asarray(waypoint - agent)
