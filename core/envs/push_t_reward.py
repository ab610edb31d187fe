"""A reward for Push-T that says everywhere which way is better, for logs that policies learn from."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from core.envs.push_t import GOAL_POSE
from core.envs.push_t_physics import AGENT_RADIUS_PX, BAR, CENTRE, STEM
from core.envs.push_t_way import WaysAround

Array = NDArray[np.float64]

CORNERS = np.array([*BAR, *STEM], np.float64)
# Places on the T's rim that an agent can push, and the outward normals there, in the T's frame.
_PLACES = np.array(
    [(x, 0) for x in (-45, -15, 15, 45)]
    + [(x, y) for x, y in ((-60, 15), (60, 15), (-46, 30), (46, 30), (0, 120))]
    + [(x, y) for x in (-15, 15) for y in (65, 90, 112)],
    np.float64,
)
_NORMALS = np.array(
    [(0, -1)] * 4
    + [(x, y) for x, y in ((-1, 0), (1, 0), (0, 1), (0, 1), (0, 1))]
    + [(x, 0) for x in (-1, 1) for _ in range(3)],
    np.float64,
)
_WAYS = WaysAround(_PLACES + AGENT_RADIUS_PX * _NORMALS)
PASSES_PX, PASSES_RADIANS = 20.0, np.pi / 9
"""How near the goal a T passes through the pose: the criterion of goal-image planners on Push-T."""
_EVENNESS = 0.8
"""How little the usefulness of a place decides (docs/ablations.md, push_t)."""
_ARM_PX = 75.0
"""Turning the T by one radian counts like moving it this far."""


def rotation(angle: float) -> Array:
    """(2, 2) matrix that turns column vectors by `angle` radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def corner_distance(pose: Array) -> float:
    """Mean distance in pixels of the T's corners to where they belong; pose (3,) x, y, radians."""
    lying = pose[:2] + CORNERS @ rotation(pose[2]).T
    wanted = np.array(GOAL_POSE[:2]) + CORNERS @ rotation(GOAL_POSE[2]).T
    return float(np.linalg.norm(lying - wanted, axis=-1).mean())


def passes(pose: Array) -> bool:
    """Whether the T lies within 20 pixels and 20 degrees of the goal pose."""
    missed = (pose[2] - GOAL_POSE[2] + np.pi) % (2 * np.pi) - np.pi
    apart = float(np.linalg.norm(pose[:2] - np.array(GOAL_POSE[:2])))
    return apart < PASSES_PX and abs(float(missed)) < PASSES_RADIANS


def approach_distance(agent: Array, pose: Array) -> float:
    """How far the agent is from pushing where it helps, in pixels: a mean over the places on the rim
    of the way to stand there, round the T.

    Places weigh exp(u / `_EVENNESS`), u the work, towards the goal, of a unit push there in units of the
    most useful one's: the weights know only the T. Were the nearest useful place taken, an agent at
    a less useful one would have to go uphill to leave it; were it the most useful place alone, the
    reward would jump as the T turns.
    """
    turn, goal_turn = rotation(pose[2]), rotation(GOAL_POSE[2])
    centre = pose[:2] + turn @ np.array(CENTRE)
    shift = np.array(GOAL_POSE[:2]) + goal_turn @ np.array(CENTRE) - centre
    wanted = (GOAL_POSE[2] - pose[2] + np.pi) % (2 * np.pi) - np.pi
    arms, forces = (_PLACES - np.array(CENTRE)) @ turn.T, -_NORMALS @ turn.T
    torques = (arms[:, 0] * forces[:, 1] - arms[:, 1] * forces[:, 0]) / _ARM_PX
    work = forces @ shift + torques * wanted * _ARM_PX
    weights = np.exp((work - work.max()) / (_EVENNESS * max(float(work.max()), 1e-6)))
    ways = _WAYS.lengths((agent - pose[:2]) @ turn)
    return float((weights * ways).sum() / weights.sum())


def pose_reward(agent: Array, pose: Array) -> float:
    """1 - 0.6 D/150 - 0.4 (1 - exp(-D/15)) - 0.3 n A/200, n = min(1, D/30): D the corners'
    distance, A the approach distance.

    Coverage, gym-pusht's reward, is flat wherever T and goal do not overlap; this one is not, and
    it is steepest near the goal, where models else hardly tell better from worse.
    """
    to_goal = corner_distance(pose)
    far = 0.6 * to_goal / 150 + 0.4 * (1 - math.exp(-to_goal / 15))
    near = min(1.0, to_goal / 30)
    return 1 - far - 0.3 * near * approach_distance(agent, pose) / 200


class PoseReward(gym.Wrapper[Any, Any, Any, Any]):
    """`PushTEnv` with `pose_reward` in place of coverage, which stays in `info["coverage"]`.

    `info["passes"]`: whether the T lies nearly as it should, a looser success.
    """

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One control step."""
        observation, _, terminated, truncated, info = self.env.step(action)
        reward = pose_reward(info["pos_agent"], info["block_pose"])
        info["passes"] = passes(info["block_pose"])
        return observation, reward, terminated, truncated, info
