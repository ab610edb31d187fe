"""Scripted play on Push-T: goes to places on the T's outline and pushes, often usefully."""

import numpy as np
from numpy.typing import NDArray

from core.envs.policies import Action, Observation
from core.envs.push_t import GOAL_POSE
from core.envs.push_t_physics import AGENT_RADIUS_PX, ARENA_PX, CENTRE

Array = NDArray[np.float64]

MAX_STEP_PX = 64.0
"""Displacement of the target at full action; see `RelativeAction`."""
CLEAR_PX = 98.0
"""Distance from the T's centre at which the agent never touches it."""
KEEP_PX = 85.0
"""Distance that play keeps between the T's centre and the arena's rim."""
_NEAR_PX, _TURN_PX = 80.0, 60.0
"""Closer to the goal than `_NEAR_PX` careful pushes are slower, a radian off being `_TURN_PX`."""
_SLOWEST = 0.15
# Places to push on the T, in its frame: from, to, and the side's outward normal. Where the agent
# does not fit, beside the joint of bar and stem, there are none.
SIDES = (
    ((-58, 0), (58, 0), (0, -1)),
    ((-60, 3), (-60, 27), (-1, 0)),
    ((60, 3), (60, 27), (1, 0)),
    ((-58, 30), (-34, 30), (0, 1)),
    ((34, 30), (58, 30), (0, 1)),
    ((-15, 50), (-15, 118), (-1, 0)),
    ((15, 50), (15, 118), (1, 0)),
    ((-13, 120), (13, 120), (0, 1)),
)


class PushTPlay:
    """Draws a place on the outline, goes round the T to it, pushes for a while, draws the next.

    In some episodes pushes are nearly always careful, in others nearly never. A careful one is at
    a place where it brings the T towards the goal, slower the nearer that is, and ends when it
    would bring it away again: otherwise logs would hardly show the T where it should be. Noise is
    correlated in time, of random scale. For relative actions.
    """

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._noise = np.zeros(2)
        self._noise_scale = float(np.exp(rng.uniform(np.log(0.02), np.log(0.4))))
        self._noise_memory = rng.uniform(0.3, 0.9)
        self._useful = rng.uniform(0.0, 1.0)
        self._steps_left = 0

    def act(self, observation: Observation) -> Action:
        state = observation["state"].astype(np.float64)
        agent, origin = (state[:2] + 1) * ARENA_PX / 2, (state[2:4] + 1) * ARENA_PX / 2
        turn = np.array([[state[4], -state[5]], [state[5], state[4]]])
        centre = origin + turn @ np.array(CENTRE)
        if self._steps_left <= 0:
            self._draw(agent, centre, turn)
        self._steps_left -= 1
        fresh = self._rng.normal(size=2) * np.sqrt(1 - self._noise_memory**2)
        self._noise = self._noise_memory * self._noise + fresh
        move = self._move(agent, centre, turn) / MAX_STEP_PX
        action = move / max(1.0, float(np.abs(move).max())) + self._noise_scale * self._noise
        return np.clip(action, -1, 1).astype(np.float32)

    def _draw(self, agent: Array, centre: Array, turn: Array) -> None:
        rng = self._rng
        self._wandering = bool(rng.random() < 0.12)
        self._spot = centre + rng.uniform(-180, 180, 2)
        self._pushing, self._steps_left = False, int(rng.integers(12, 28))
        self._push_steps = int(rng.integers(3, 12))
        self._speed = rng.uniform(0.5, 1.0) if rng.random() < 0.6 else rng.uniform(0.1, 0.5)
        self._bend = rng.normal() * 0.3
        places = [self._random_place() for _ in range(12)]
        places = [p for p in places if _open(p, centre, turn)] or places
        self._careful = bool(rng.random() < self._useful)
        if self._careful:
            self._place, self._normal = max(places, key=lambda p: usefulness(p, centre, turn))
            shift, wanted = _missing(centre, turn)
            off = (np.linalg.norm(shift) + _TURN_PX * abs(wanted)) / _NEAR_PX
            care = float(np.clip(off, _SLOWEST, 1.0))
            self._speed *= care
            self._bend *= care
        else:  # a near one, so that less time goes into going round
            way = turn.T @ (agent - centre)
            self._place, self._normal = max(places[:3], key=lambda p: float(p[1] @ way))

    def _random_place(self) -> tuple[Array, Array]:
        start, end, normal = SIDES[int(self._rng.integers(len(SIDES)))]
        along = np.array(start) + self._rng.random() * (np.array(end) - np.array(start))
        return along - np.array(CENTRE), np.array(normal, np.float64)

    def _move(self, agent: Array, centre: Array, turn: Array) -> Array:
        """Displacement of the target in pixels."""
        if self._wandering:
            return np.asarray(self._spot - agent)
        if self._pushing:
            c, s = np.cos(self._bend), np.sin(self._bend)
            push = np.array([[c, -s], [s, c]]) @ -turn @ self._normal
            if self._careful and usefulness((self._place, self._normal), centre, turn) <= 0:
                self._steps_left = 0
            if not _inside(centre + 10 * push, KEEP_PX):
                self._steps_left = 0  # the agent would squeeze the T through the wall
            return np.asarray(push * MAX_STEP_PX * self._speed)
        place, stand = (
            centre + turn @ self._place,
            centre + turn @ _stand(self._place, self._normal),
        )
        normal = turn @ self._normal
        if float(np.linalg.norm(agent - place)) < AGENT_RADIUS_PX + 12:
            self._pushing, self._steps_left = True, self._push_steps
        sideways = (agent - place) - ((agent - place) @ normal) * normal
        if (agent - place) @ normal > 0 and np.linalg.norm(sideways) < 8:
            return np.asarray((place - agent) - normal * 30)  # in front of it: straight in
        return _go_round(agent, centre, stand)


def play_start(rng: np.random.Generator) -> dict[str, Array] | None:
    """Options of a reset: in half of the episodes the T lies near the goal, in a quarter very near.

    Play from random starts hardly ever gets it there, and models know only what the logs show.
    """
    if rng.random() < 0.5:
        return None
    x, y, angle = GOAL_POSE
    share = 1.0 if rng.random() < 0.5 else 0.25
    shift, turn = rng.uniform(-60, 60, 2) * share, rng.uniform(-0.7, 0.7) * share
    pose = [x + shift[0], y + shift[1], angle + turn]
    c, s = np.cos(pose[2]), np.sin(pose[2])
    centre = np.array(pose[:2]) + np.array([[c, -s], [s, c]]) @ np.array(CENTRE)
    agent = centre
    while float(np.linalg.norm(agent - centre)) < CLEAR_PX:
        agent = rng.uniform(50, ARENA_PX - 50, 2)
    return {"reset_to_state": np.array([*agent, *pose])}


def usefulness(place: tuple[Array, Array], centre: Array, turn: Array) -> float:
    """Work of a unit push at (place, normal) on the way to the goal, turning included; px."""
    shift, wanted = _missing(centre, turn)
    arm, force = turn @ place[0], -turn @ place[1]
    torque = float(arm[0] * force[1] - arm[1] * force[0])
    return float(force @ shift + torque * wanted)


def _missing(centre: Array, turn: Array) -> tuple[Array, float]:
    """What the T still has to go to its goal: (2,) px, and radians."""
    x, y, angle = GOAL_POSE
    goal_turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = np.array([x, y]) + goal_turn @ np.array(CENTRE) - centre
    wanted = angle - np.arctan2(turn[1, 0], turn[0, 0])
    return shift, float((wanted + np.pi) % (2 * np.pi) - np.pi)


def _stand(place: Array, normal: Array) -> Array:
    """The point in front of a place, in the T's frame, at `CLEAR_PX` from its centre."""
    along = float(place @ normal)
    aside = float(place @ place) - along**2
    return np.asarray(place + (np.sqrt(CLEAR_PX**2 - aside) - along) * normal)


def _open(place: tuple[Array, Array], centre: Array, turn: Array) -> bool:
    """Whether the agent fits in front of a place and a push from there keeps the T inside."""
    pushed = centre - 50 * (turn @ place[1])
    return _inside(centre + turn @ _stand(*place)) and _inside(pushed, KEEP_PX)


def _go_round(agent: Array, centre: Array, goal: Array) -> Array:
    """Displacement towards a point on the clear circle, on a way outside that circle."""
    way, offset = goal - agent, agent - centre
    along = np.clip(-offset @ way / (way @ way + 1e-9), 0, 1)
    if np.linalg.norm(offset + along * way) > CLEAR_PX - 8:
        return np.asarray(way)
    bearing, aim = np.arctan2(*offset[::-1]), np.arctan2(*(goal - centre)[::-1])
    turn = (aim - bearing + np.pi) % (2 * np.pi) - np.pi
    for direction in (np.sign(turn), -np.sign(turn)):
        angle = bearing + 0.5 * direction
        waypoint = centre + (CLEAR_PX + 8) * np.array([np.cos(angle), np.sin(angle)])
        waypoint = np.clip(waypoint, 18, ARENA_PX - 18)
        if np.linalg.norm(waypoint - centre) > CLEAR_PX - 12:  # the wall leaves room
            break
    return np.asarray(waypoint - agent)


def _inside(point: Array, margin: float = 18.0) -> bool:
    return bool(((point > margin) & (point < ARENA_PX - margin)).all())
