"""Push-T: push a T onto its outline. gym-pusht's task on pymunk 7."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from core.envs.push_t_physics import (
    ARENA_PX,
    BAR,
    CONTROL_HZ,
    STEM,
    PushTPhysics,
    coverage,
    outline,
)
from core.envs.push_t_render import PushTRenderer

Array = NDArray[np.float64]

GOAL_POSE = (256.0, 256.0, np.pi / 4)
SUCCESS_COVERAGE = 0.95
MAX_STEPS = 300
OBS_TYPES = (
    "state",
    "pixels",
    "pixels_agent_pos",
    "environment_state_agent_pos",
    "pixels_state",
)


class PushTEnv(gym.Env[Any, NDArray[np.float32]]):
    """A PD-driven agent pushes a T onto its goal pose.

    Action: the agent's target, (2,) xy in [0, 512]. Observation by `obs_type`:
    `state` (5,) agent xy, T xy, T angle in [0, 2π); `pixels` (S, S, 3) uint8; `pixels_agent_pos`
    and `environment_state_agent_pos` (16 numbers: the corners of the T's boxes) are dicts with
    `agent_pos` (2,); `pixels_state` adds to gym-pusht's a dict of `pixels` and `state` (6,)
    float32 in [-1, 1]: agent xy, T xy, cos and sin of its angle.
    Reward: coverage / 0.95, at most 1. Terminates when the T covers more than 95 % of the goal,
    truncated after `max_steps`.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": CONTROL_HZ,
    }

    def __init__(
        self,
        obs_type: str = "state",
        render_mode: str | None = "rgb_array",
        image_size: int = 96,
        visualization_size: int = 680,
        max_steps: int = MAX_STEPS,
    ) -> None:
        if obs_type not in OBS_TYPES:
            raise ValueError(f"no obs_type {obs_type!r}; there are {', '.join(OBS_TYPES)}")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be None or 'rgb_array', got {render_mode!r}")
        self.obs_type, self.render_mode, self.max_steps = obs_type, render_mode, max_steps
        self.goal_pose = np.array(GOAL_POSE)
        self.physics = PushTPhysics()
        self._draw = PushTRenderer(image_size, GOAL_POSE)
        self._visualization_size = visualization_size
        self.observation_space = _observation_space(obs_type, image_size)
        self.action_space = spaces.Box(0.0, ARENA_PX, (2,), np.float32)
        self.elapsed = 0

    @property
    def agent_position(self) -> Array:
        """The agent's xy in pixels."""
        return np.array(self.physics.agent.position)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; `options={"state": array}` starts it from a `get_state`, and
        `options={"reset_to_state": (agent x, agent y, T x, T y, angle)}` from rest."""
        super().reset(seed=seed)
        options = options or {}
        if options.get("state") is not None:
            self.set_state(options["state"])
        else:
            start = options.get("reset_to_state")
            self._start(self._random_start() if start is None else start)
        return self._observation(), self._info(0)

    def step(
        self, action: NDArray[np.floating[Any]]
    ) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One control step of 0.1 s."""
        target = np.asarray(action, np.float64)
        if target.shape != (2,) or not np.isfinite(target).all():
            raise ValueError(f"action must be two finite numbers, got {action!r}")
        contacts = self.physics.step((float(target[0]), float(target[1])))
        self.elapsed += 1
        info = self._info(contacts)
        reward = min(1.0, info["coverage"] / SUCCESS_COVERAGE)
        truncated = self.elapsed >= self.max_steps
        return self._observation(), reward, info["is_success"], truncated, info

    def get_state(self) -> Array:
        """Everything a step depends on: (11,) `PushTPhysics.get_state`, then steps taken."""
        return np.append(self.physics.get_state(), float(self.elapsed))

    def set_state(self, state: NDArray[np.floating[Any]]) -> None:
        """Continue from a `get_state`, bit for bit."""
        values = np.asarray(state, np.float64)
        if values.shape != (11,) or not np.isfinite(values).all():
            raise ValueError(f"state must be 11 finite numbers, got {state!r}")
        self.physics.set_state(values[:10])
        self.elapsed = int(values[10])

    def render(self) -> NDArray[np.uint8]:
        """The scene as uint8 RGB of side `visualization_size`."""
        draw = PushTRenderer(self._visualization_size, self.goal_pose.tolist())
        return draw(self.physics.agent.position, self.physics.block_pose().tolist())

    def _random_start(self) -> Array:
        rng = self.np_random
        xy = [*rng.integers(50, 450, 2), *rng.integers(100, 400, 2)]
        return np.array([*xy, rng.normal() * 2 * np.pi - np.pi], np.float64)

    def _start(self, start: NDArray[np.floating[Any]]) -> None:
        values = np.asarray(start, np.float64)
        if values.shape != (5,) or not np.isfinite(values).all():
            raise ValueError(f"reset_to_state must be 5 finite numbers, got {start!r}")
        self.physics.place(values[:2].tolist(), values[2:].tolist())
        self.physics.settle()
        self.elapsed = 0

    def _observation(self) -> Any:
        agent, pose = self.agent_position, self.physics.block_pose()
        if self.obs_type == "state":
            return np.array([*agent, *pose[:2], pose[2] % (2 * np.pi)])
        if self.obs_type == "environment_state_agent_pos":
            corners = [p for part in (BAR, STEM) for p in outline(pose.tolist(), part)]
            return {"environment_state": np.array(corners).ravel(), "agent_pos": agent}
        pixels = self._draw((agent[0], agent[1]), pose.tolist())
        if self.obs_type == "pixels":
            return pixels
        if self.obs_type == "pixels_agent_pos":
            return {"pixels": pixels, "agent_pos": agent}
        xy = np.array([*agent, *pose[:2]]) / (ARENA_PX / 2) - 1
        state = np.clip([*xy, np.cos(pose[2]), np.sin(pose[2])], -1, 1)
        return {"pixels": pixels, "state": state.astype(np.float32)}

    def _info(self, contacts: int) -> dict[str, Any]:
        pose = self.physics.block_pose()
        covered = coverage(pose.tolist(), self.goal_pose.tolist())
        return {
            "pos_agent": self.agent_position,
            "vel_agent": np.array(self.physics.agent.velocity),
            "block_pose": pose,
            "goal_pose": self.goal_pose.copy(),
            "n_contacts": contacts,
            "is_success": covered > SUCCESS_COVERAGE,
            "coverage": covered,
        }


def _observation_space(obs_type: str, size: int) -> spaces.Space[Any]:
    """The space of an `obs_type`; see `PushTEnv`.

    Wider than gym-pusht's [0, 512]: corners of the T start outside, and the agent overshoots.
    """
    low, high = -ARENA_PX, 2 * ARENA_PX
    pixels = spaces.Box(0, 255, (size, size, 3), np.uint8)
    agent = spaces.Box(low, high, (2,), np.float64)
    corners = spaces.Box(low, high, (16,), np.float64)
    pose_low, pose_high = np.array([low] * 4 + [0.0]), np.array([high] * 4 + [2 * np.pi])
    scaled = spaces.Box(-1.0, 1.0, (6,), np.float32)
    kinds: dict[str, spaces.Space[Any]] = {
        "state": spaces.Box(pose_low, pose_high, dtype=np.float64),
        "pixels": pixels,
        "pixels_agent_pos": spaces.Dict({"pixels": pixels, "agent_pos": agent}),
        "environment_state_agent_pos": spaces.Dict(
            {"environment_state": corners, "agent_pos": agent}
        ),
        "pixels_state": spaces.Dict({"pixels": pixels, "state": scaled}),
    }
    return kinds[obs_type]
