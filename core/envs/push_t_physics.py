"""Push-T physics on pymunk 7: the T, a PD-driven agent, walls, and coverage of the goal.

Geometry, masses and gains are gym-pusht's, friction too: it sets 1 on the bodies, where pymunk
has none, and so its shapes slide with 0.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pymunk
from numpy.typing import NDArray

Array = NDArray[np.float64]
Point = tuple[float, float]

ARENA_PX = 512.0
AGENT_RADIUS_PX = 15.0
WALLS_PX, WALL_RADIUS_PX = (5.0, 506.0), 2.0
# The T in its own frame: the origin in the middle of the bar's outer edge, the stem along +y.
BAR: tuple[Point, ...] = ((-60, 0), (60, 0), (60, 30), (-60, 30))
STEM: tuple[Point, ...] = ((-15, 30), (15, 30), (15, 120), (-15, 120))
AREA_PX2 = 120 * 30 + 30 * 90
CENTRE: Point = (0.0, 45.0)
"""Centre of gravity in the T's frame: the mean of the boxes' centres, as there."""
MASS, MOMENT = (
    1.0,
    2 * ((120**2 + 30**2) / 12 + 15**2),
)  # twice the bar's about the origin, as there
PHYSICS_HZ, CONTROL_HZ = 100, 10
K_P, K_V = 100.0, 20.0


class PushTPhysics:
    """Agent and T in a walled square; positions in pixels, angles in radians."""

    def __init__(self) -> None:
        self.agent = pymunk.Body(body_type=pymunk.Body.KINEMATIC)
        # The body's frame is at the centre of gravity, so that its state can be set exactly.
        self.block = pymunk.Body(MASS, MOMENT)
        walls = pymunk.Body(body_type=pymunk.Body.STATIC)
        low, high = WALLS_PX
        corners = [(low, low), (high, low), (high, high), (low, high)]
        sides = zip(corners, corners[1:] + corners[:1], strict=True)
        parts = [[(x, y - CENTRE[1]) for x, y in part] for part in (BAR, STEM)]
        self._bodies = [walls, self.agent, self.block]
        self._shapes: list[pymunk.Shape] = [
            *(pymunk.Segment(walls, a, b, WALL_RADIUS_PX) for a, b in sides),
            pymunk.Circle(self.agent, AGENT_RADIUS_PX),
            *(pymunk.Poly(self.block, part) for part in parts),
        ]
        self.contact_points = 0
        self._space = pymunk.Space()
        self._space.add(*self._bodies, *self._shapes)

    def step(self, target: Point) -> int:
        """Drive the agent towards a target for one control step; contact points met per substep,
        rounded up."""
        self._renew_space()
        self.contact_points = 0
        substeps = PHYSICS_HZ // CONTROL_HZ
        for _ in range(substeps):
            (x, y), (vx, vy) = self.agent.position, self.agent.velocity
            self.agent.velocity = (
                vx + (K_P * (target[0] - x) - K_V * vx) / PHYSICS_HZ,
                vy + (K_P * (target[1] - y) - K_V * vy) / PHYSICS_HZ,
            )
            self._space.step(1 / PHYSICS_HZ)
        return -(-self.contact_points // substeps)

    def _renew_space(self) -> None:
        """Drop what a space carries from step to step: impulses, pending pushes out of overlaps,
        the order of contacts. A step then depends on `get_state` alone."""
        self._space.remove(*self._shapes, *self._bodies)
        self._space = pymunk.Space()
        self._space.damping = 0.0  # what is not pushed stops
        self._space.on_collision(0, 0, post_solve=self._count)
        self._space.add(*self._bodies, *self._shapes)
        pymunk.Body.update_position(self.block, 0.0)  # clears the block's pending push

    def settle(self) -> None:
        """One physics step without drive: starts to part bodies placed into each other."""
        self._renew_space()
        self._space.step(1 / PHYSICS_HZ)

    def place(self, agent: Sequence[float], block_pose: Sequence[float]) -> None:
        """Put the agent at xy and the T at (x, y, angle), both at rest."""
        x, y, angle = (float(v) for v in block_pose)
        self.agent.position, self.agent.velocity = (float(agent[0]), float(agent[1])), (0.0, 0.0)
        self.block.angle = angle
        self.block.position = pymunk.Vec2d(x, y) + pymunk.Vec2d(*CENTRE).rotated(angle)
        self.block.velocity, self.block.angular_velocity = (0.0, 0.0), 0.0

    def block_pose(self) -> Array:
        """The T's origin and angle: (3,) x, y, radians."""
        centre, angle = self.block.position, self.block.angle
        origin = centre - pymunk.Vec2d(*CENTRE).rotated(angle)
        return np.array([origin.x, origin.y, angle])

    def get_state(self) -> Array:
        """(10,): agent xy and velocity, T's centre xy and angle, its velocity and angular one."""
        agent, block = self.agent, self.block
        motion = (*agent.position, *agent.velocity, *block.position, block.angle, *block.velocity)
        return np.array([*motion, block.angular_velocity])

    def set_state(self, state: Array) -> None:
        """Continue from a `get_state`, bit for bit."""
        ax, ay, avx, avy, bx, by, angle, bvx, bvy, spin = (float(v) for v in state)
        self.agent.position, self.agent.velocity = (ax, ay), (avx, avy)
        self.block.angle, self.block.angular_velocity = angle, spin
        self.block.position, self.block.velocity = (bx, by), (bvx, bvy)

    def _count(self, arbiter: pymunk.Arbiter, space: pymunk.Space, data: Any) -> None:
        self.contact_points += len(arbiter.contact_point_set.points)


def outline(pose: Sequence[float], part: Sequence[Point]) -> list[Point]:
    """Corners of a part of the T (`BAR`, `STEM`) that lies at a pose, in pixels."""
    x, y, angle = (float(v) for v in pose)
    c, s = float(np.cos(angle)), float(np.sin(angle))
    return [(x + c * u - s * v, y + s * u + c * v) for u, v in part]


def coverage(block_pose: Sequence[float], goal_pose: Sequence[float]) -> float:
    """Share of the goal's area that the T covers, in [0, 1]."""
    x, y, angle = (float(v) for v in goal_pose)
    c, s = float(np.cos(angle)), float(np.sin(angle))
    covered = 0.0
    for part in (BAR, STEM):
        moved = [(u - x, v - y) for u, v in outline(block_pose, part)]
        seen = [(c * u + s * v, c * v - s * u) for u, v in moved]  # in the goal's frame
        covered += sum(clipped_area(seen, goal[0], goal[2]) for goal in (BAR, STEM))
    return min(1.0, covered / AREA_PX2)


def clipped_area(polygon: Sequence[Point], low: Point, high: Point) -> float:
    """Area of a convex polygon inside an axis-aligned box (Sutherland-Hodgman, then shoelace)."""
    for axis in (0, 1):
        polygon = _clip(polygon, axis, low[axis], 1.0)
        polygon = _clip(polygon, axis, high[axis], -1.0)
    if not polygon:
        return 0.0
    ring = zip(polygon, [*polygon[1:], polygon[0]], strict=True)
    return abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in ring)) / 2


def _clip(polygon: Sequence[Point], axis: int, bound: float, side: float) -> list[Point]:
    """What lies on one side of the line coordinate = bound."""
    kept: list[Point] = []
    for i, b in enumerate(polygon):
        a = polygon[i - 1]
        da, db = side * (a[axis] - bound), side * (b[axis] - bound)
        if (da < 0) != (db < 0):
            t = da / (da - db)
            kept.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])))
        if db >= 0:
            kept.append(b)
    return kept
