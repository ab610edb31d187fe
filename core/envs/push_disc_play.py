"""Exploratory play that makes logs: much contact, much of the arena, never only the best."""

import numpy as np
from numpy.typing import NDArray

from core.envs.policies import Action, Array, Observation, go_round, positions, push_move, to_action
from core.envs.push_disc import ARENA_PX, GOAL, TOUCH_PX

SKILLS = {"goal": 0.24, "spot": 0.26, "off": 0.14, "side": 0.18, "near": 0.07, "jitter": 0.11}
"""Share of each skill when a new one is drawn; see `PushDiscPlay`."""


class PushDiscPlay:
    """Draws a skill, plays it for a while with correlated noise, draws the next.

    `goal`: push to the goal; `spot`: to a random place, often near the goal; `off`: away from the
    goal; `side`: touch the disc at a random side and push in a random direction; `near`: go to a
    random place near the disc or anywhere; `jitter`: hold uniform actions for a few steps.
    """

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._noise = np.zeros(2)
        self._noise_scale = rng.uniform(0.05, 0.5)
        self._noise_memory = rng.uniform(0.3, 0.9)
        self._steps_left = 0

    def act(self, observation: Observation) -> Action:
        agent, disc = positions(observation)
        if self._steps_left <= 0:
            self._draw(disc)
        self._steps_left -= 1
        fresh = self._rng.normal(size=2) * np.sqrt(1 - self._noise_memory**2)
        self._noise = self._noise_memory * self._noise + fresh
        action = self._skill_action(agent, disc) * self._speed + self._noise_scale * self._noise
        return np.clip(action, -1, 1).astype(np.float32)

    def _draw(self, disc: Array) -> None:
        rng = self._rng
        self._skill = str(rng.choice(list(SKILLS), p=list(SKILLS.values())))
        self._speed = rng.uniform(0.3, 1.0) if rng.random() < 0.6 else 1.0
        self._steps_left = int(rng.integers(8, 30))
        self._spot = GOAL
        if self._skill == "spot":
            radius = 70 if rng.random() < 0.6 else 180
            self._spot = GOAL + rng.uniform(-radius, radius, 2)
        elif self._skill == "off":
            self._spot = disc + 200 * unit(rng.uniform(0, 2 * np.pi))
            self._steps_left = int(rng.integers(5, 16))
        elif self._skill == "side":
            self._side, self._way = unit(rng.uniform(0, 2 * np.pi)), unit(rng.uniform(0, 2 * np.pi))
            self._pushing = False
        elif self._skill == "near":
            nearby = disc + rng.uniform(-160, 160, 2)
            anywhere = rng.uniform(0, ARENA_PX, 2)
            self._spot = np.clip(nearby if rng.random() < 0.7 else anywhere, 30, ARENA_PX - 30)
        elif self._skill == "jitter":
            self._held = rng.uniform(-1, 1, 2)
            self._steps_left = int(rng.integers(2, 6))

    def _skill_action(self, agent: Array, disc: Array) -> Array:
        if self._skill == "jitter":
            return self._held
        if self._skill == "near":
            return to_action(self._spot - agent)
        if self._skill == "side":
            return self._push_side(agent, disc)
        if np.linalg.norm(self._spot - disc) < 4:
            self._steps_left = 0
        return to_action(push_move(agent, disc, self._spot))

    def _push_side(self, agent: Array, disc: Array) -> Array:
        place = disc + self._side * TOUCH_PX
        self._pushing = self._pushing or bool(np.linalg.norm(agent - place) < 10)
        return self._way if self._pushing else to_action(go_round(agent, disc, place))


def unit(angle: float) -> NDArray[np.float64]:
    """The unit vector at an angle in radians."""
    return np.array([np.cos(angle), np.sin(angle)])
