"""Push a disc to the centre of a square arena: the task that a CPU learns in minutes."""

from typing import Any

import gymnasium as gym
import numpy as np
import pymunk
from gymnasium import spaces
from numpy.typing import NDArray

from core.envs.push_disc_render import PushDiscRenderer

Array = NDArray[np.float64]
Observation = dict[str, Any]

ARENA_PX = 512.0
AGENT_RADIUS_PX = 28.0
DISC_RADIUS_PX = 45.0
TOUCH_PX = AGENT_RADIUS_PX + DISC_RADIUS_PX
GOAL = np.array([ARENA_PX / 2, ARENA_PX / 2])
SUCCESS_PX = 25.0
MAX_STEP_PX = 32.0
MAX_STEPS = 80
START_PX = (90.0, 150.0)  # beyond 155 the agent does not fit between disc and wall
PHYSICS_HZ, CONTROL_HZ = 100, 10
# k_v · dt = 1: the agent's velocity has no memory, so that positions are (nearly) the whole state.
K_P, K_V = 2500.0, 100.0
_WALL_AGENT = (AGENT_RADIUS_PX, ARENA_PX - AGENT_RADIUS_PX)
_WALL_DISC = (DISC_RADIUS_PX, ARENA_PX - DISC_RADIUS_PX)


def distance(a: Array, b: Array) -> Array:
    """Euclidean distance over the last axis."""
    return np.asarray(np.sqrt(np.sum((a - b) ** 2, axis=-1)))


def push_point(disc: Array, target: Array = GOAL) -> Array:
    """Where the agent touches the disc from behind, seen from the target; (..., 2) in pixels."""
    away = disc - target
    norm = np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-9)
    return np.asarray(disc + away / norm * TOUCH_PX)


def reward(agent: Array, disc: Array) -> Array:
    """1 - d_goal/300 - 0.4 n - 0.4 n d_push/200, n = min(1, d_goal/60); positions (..., 2) in pixels.

    Linear in both distances, so that it has a gradient everywhere, and steeper near the goal, so
    that the last pixels are worth pushing for; there the agent's place stops to matter.
    """
    to_goal = distance(disc, GOAL)
    to_push = distance(agent, push_point(disc))
    near = np.minimum(1, to_goal / 60)
    return 1 - to_goal / 300 - 0.4 * near - 0.4 * near * to_push / 200


class PushDiscEnv(gym.Env[Observation, NDArray[np.float32]]):
    """A velocity-driven agent pushes a disc that moves only while pushed.

    Action: displacement of the agent's target from where the agent is, (2,) in [-1, 1], 1 being
    `MAX_STEP_PX`; the agent covers 94 % of it within the step. Observation: `pixels` uint8
    (S, S, 3) and `state` float32 (4,), agent xy and disc xy scaled to [-1, 1]. Reward: `reward`.
    Truncated after `MAX_STEPS`, never terminated. Success: disc within `SUCCESS_PX` of the goal.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": CONTROL_HZ,
    }

    def __init__(self, image_size: int = 64, render_mode: str | None = "rgb_array") -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be None or 'rgb_array', got {render_mode!r}")
        self.render_mode = render_mode
        self.renderer = PushDiscRenderer(image_size, AGENT_RADIUS_PX, DISC_RADIUS_PX)
        observations: dict[str, spaces.Space[Any]] = {
            "pixels": spaces.Box(0, 255, (image_size, image_size, 3), np.uint8),
            "state": spaces.Box(-1.0, 1.0, (4,), np.float32),
        }
        self.observation_space = spaces.Dict(observations)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.target = np.zeros(2)
        self.elapsed = 0
        self._build()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; `options={"state": array}` starts it from a `get_state`."""
        super().reset(seed=seed)
        state = (options or {}).get("state")
        self.set_state(self._random_state() if state is None else state)
        return self._observation(), self._info(0)

    def step(
        self, action: NDArray[np.floating[Any]]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One control step of 0.1 s; actions outside [-1, 1] are clipped."""
        move = np.clip(np.asarray(action, np.float64), -1, 1) * MAX_STEP_PX
        if move.shape != (2,) or not np.isfinite(move).all():
            raise ValueError(f"action must be two finite numbers, got {action!r}")
        self.target = np.clip(np.asarray(self._agent.position) + move, *_WALL_AGENT)
        # Forgets the solver's impulses and its pending push out of an overlap, so that a step
        # depends on `get_state` alone.
        self._space.remove(self._agent_shape)
        self._space.add(self._agent_shape)
        pymunk.Body.update_position(self._disc, 0.0)
        contacts = sum(self._substep() for _ in range(PHYSICS_HZ // CONTROL_HZ))
        self.elapsed += 1
        value = float(reward(np.asarray(self._agent.position), np.asarray(self._disc.position)))
        truncated = self.elapsed >= MAX_STEPS
        return self._observation(), value, False, truncated, self._info(contacts)

    def get_state(self) -> Array:
        """Everything a step depends on: (11,) xy of agent, its velocity, disc, its velocity,
        target, then steps taken; pixels and pixels/s."""
        agent, disc = self._agent, self._disc
        parts = (agent.position, agent.velocity, disc.position, disc.velocity, self.target)
        return np.array([x for p in parts for x in p] + [self.elapsed], np.float64)

    def set_state(self, state: NDArray[np.floating[Any]]) -> None:
        """Continue from a `get_state`, bit for bit."""
        values = np.asarray(state, np.float64)
        if values.shape != (11,) or not np.isfinite(values).all():
            raise ValueError(f"state must be 11 finite numbers, got {state!r}")
        agent, agent_velocity, disc, disc_velocity = (
            (x, y) for x, y in values[:8].reshape(4, 2).tolist()
        )
        self._agent.position, self._agent.velocity = agent, agent_velocity
        self._disc.position, self._disc.velocity = disc, disc_velocity
        self.target = values[8:10].copy()
        self.elapsed = int(values[10])

    def render(self) -> NDArray[np.uint8]:
        """The scene as (S, S, 3) uint8 RGB."""
        return self.renderer(self._agent.position, self._disc.position)

    def _build(self) -> None:
        self._space = pymunk.Space()
        self._space.damping = 0.0  # quasi-static: what is not pushed stops
        self._space.collision_bias = 1e-12  # overlap is gone within two substeps
        # Infinite mass and moment of the pushed and the pusher: the disc does not roll, and inside
        # the friction cone it moves with the agent.
        self._agent = pymunk.Body(body_type=pymunk.Body.KINEMATIC)
        self._disc = pymunk.Body(5.0, float("inf"))
        self._agent_shape = pymunk.Circle(self._agent, AGENT_RADIUS_PX)
        disc_shape = pymunk.Circle(self._disc, DISC_RADIUS_PX)
        self._agent_shape.friction = disc_shape.friction = 1.0
        self._space.add(self._agent, self._disc, disc_shape, self._agent_shape)

    def _substep(self) -> bool:
        """Drive the agent for 10 ms; whether it touched the disc."""
        dt = 1 / PHYSICS_HZ
        agent, disc = self._agent, self._disc
        (x, y), (vx, vy), (tx, ty) = agent.position, agent.velocity, self.target
        agent.velocity = (
            vx + (K_P * (tx - x) - K_V * vx) * dt,
            vy + (K_P * (ty - y) - K_V * vy) * dt,
        )
        self._space.step(dt)
        (x, y), (dx, dy) = agent.position, disc.position
        gap = ((x - dx) ** 2 + (y - dy) ** 2) ** 0.5
        low, high = _WALL_DISC
        if not (low <= dx <= high and low <= dy <= high):
            self._stop_at_wall()
        return bool(gap <= TOUCH_PX)

    def _stop_at_wall(self) -> None:
        """Hold the disc inside and the agent off it.

        Walls in the solver would be squeezed through: the agent has infinite mass.
        """
        disc = np.clip(np.asarray(self._disc.position), *_WALL_DISC)
        agent = np.asarray(self._agent.position)
        self._disc.position = (float(disc[0]), float(disc[1]))
        gap = float(distance(agent, disc))
        if 0 < gap < TOUCH_PX:
            agent = np.clip(disc + (agent - disc) / gap * TOUCH_PX, *_WALL_AGENT)
            self._agent.position = (float(agent[0]), float(agent[1]))

    def _random_state(self) -> Array:
        radius, angle = self.np_random.uniform(*START_PX), self.np_random.uniform(0, 2 * np.pi)
        disc = GOAL + radius * np.array([np.cos(angle), np.sin(angle)])
        agent = disc
        while distance(agent, disc) < TOUCH_PX + 5:
            agent = self.np_random.uniform(*_WALL_AGENT, size=2)
        still = np.zeros(2)
        return np.concatenate([agent, still, disc, still, agent, [0.0]])

    def _observation(self) -> Observation:
        positions = np.array([*self._agent.position, *self._disc.position])
        return {
            "pixels": self.render(),
            "state": (positions / (ARENA_PX / 2) - 1).astype(np.float32),
        }

    def _info(self, contacts: int) -> dict[str, Any]:
        gap = float(distance(np.asarray(self._disc.position), GOAL))
        return {"is_success": gap <= SUCCESS_PX, "distance_px": gap, "n_contacts": contacts}
