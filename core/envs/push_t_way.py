"""How far the agent has to go to a place on the T's rim, round the T."""

import numpy as np
from numpy.typing import NDArray

from core.envs.push_t_physics import AGENT_RADIUS_PX, BAR, STEM

Array = NDArray[np.float64]

_EASE_PX = 3.0
"""How far the agent's centre may be inside the T grown by its radius: a touch is no obstacle."""


def _grown(part: tuple[tuple[float, float], ...]) -> Array:
    corners = np.array(part, np.float64)
    return np.stack([corners.min(0) - AGENT_RADIUS_PX, corners.max(0) + AGENT_RADIUS_PX])


_BOXES = np.stack([_grown(BAR), _grown(STEM)])
"""Where the agent's centre cannot be, in the T's frame: (2 boxes, low and high, xy)."""
_INNER = _BOXES + np.array([_EASE_PX, -_EASE_PX])[:, None]
(_LEFT, _TOP), (_RIGHT, _UNDER) = _BOXES[0]
_BENDS = np.array(
    [(_LEFT, _TOP), (_RIGHT, _TOP), (_RIGHT, _UNDER), (_LEFT, _UNDER)]
    + [(x, _BOXES[1, 1, 1]) for x in _BOXES[1, :, 0]]
)
"""Outer corners: a shortest way turns nowhere else."""


class WaysAround:
    """Shortest ways to fixed places at the rim of the T, (n, 2) in its frame."""

    def __init__(self, places: Array) -> None:
        self.places = places
        points = np.concatenate([_BENDS, places])
        lengths = np.stack([straight(p, points) for p in points])
        for k in range(len(points)):  # Floyd and Warshall
            lengths = np.minimum(lengths, lengths[:, k, None] + lengths[None, k])
        self._targets, self._from_bend = points, lengths[: len(_BENDS), len(_BENDS) :]

    def lengths(self, start: Array) -> Array:
        """Pixels from `start` (2,), in the T's frame, to each place; (n,)."""
        seen = straight(start, self._targets)
        to_bend, direct = seen[: len(_BENDS)], seen[len(_BENDS) :]
        if np.isinf(to_bend).all():  # inside the T, where the agent can only be squeezed
            to_bend = np.linalg.norm(_BENDS - start, axis=-1)
        return np.asarray(np.minimum(direct, (to_bend[:, None] + self._from_bend).min(0)))


def straight(start: Array, ends: Array) -> Array:
    """Distances from `start` (2,) to `ends` (n, 2); infinite where the T is in the way."""
    way = ends - start
    way = np.where(np.abs(way) < 1e-9, 1e-9, way)
    bounds = (_INNER[:, :, None] - start) / way  # (box, low and high, n, xy)
    enters = bounds.min(1).max(-1).clip(min=0)
    leaves = bounds.max(1).min(-1).clip(max=1)
    blocked = (enters < leaves - 1e-9).any(0)
    return np.asarray(np.where(blocked, np.inf, np.linalg.norm(ends - start, axis=-1)))
