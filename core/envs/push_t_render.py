"""State of `push_t` to an image, in gym-pusht's colours."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.envs.paint import Box, Point, paint_boxes, paint_disc, to_uint8
from core.envs.push_t_physics import AGENT_RADIUS_PX, ARENA_PX, WALL_RADIUS_PX, WALLS_PX

BACKGROUND = (255, 255, 255)
WALL = (211, 211, 211)
GOAL = (144, 238, 144)
BLOCK, BLOCK_INNER = (119, 136, 153), (143, 163, 184)
AGENT, AGENT_INNER = (65, 105, 225), (78, 126, 255)
EDGE_PX = 2.0
"""Half the width of the T's edge, drawn on its outline."""
# The stem reaches into the bar, so that no seam shows.
T_BOXES: tuple[Box, ...] = ((-60, 0, 60, 30), (-15, 0, 15, 120))


class PushTRenderer:
    """Draws (size, size, 3) uint8 RGB images of one goal pose (x, y, angle)."""

    def __init__(self, size: int, goal_pose: Sequence[float]) -> None:
        if size < 8:
            raise ValueError(f"image size must be at least 8 pixels, got {size}")
        self.scale = s = size / ARENA_PX
        self._boxes = [(a * s, b * s, c * s, d * s) for a, b, c, d in T_BOXES]
        self._empty = np.full((size, size, 3), BACKGROUND, np.float32)
        self._paint_walls()
        x, y, angle = (float(v) for v in goal_pose)
        paint_boxes(self._empty, (x * s, y * s), angle, self._boxes, [(0.0, GOAL)])

    def __call__(self, agent: Point, block_pose: Sequence[float]) -> NDArray[np.uint8]:
        """Draw the agent at xy and the T at (x, y, angle), in arena pixels and radians."""
        s, image = self.scale, self._empty.copy()
        x, y, angle = (float(v) for v in block_pose)
        layers = [(EDGE_PX * s, BLOCK), (-EDGE_PX * s, BLOCK_INNER)]
        paint_boxes(image, (x * s, y * s), angle, self._boxes, layers)
        centre = (agent[0] * s, agent[1] * s)
        paint_disc(image, centre, AGENT_RADIUS_PX * s, AGENT)
        paint_disc(image, centre, (AGENT_RADIUS_PX - 4) * s, AGENT_INNER)
        return to_uint8(image)

    def _paint_walls(self) -> None:
        s, image = self.scale, self._empty
        low, high = WALLS_PX[0] * s, WALLS_PX[1] * s
        thick = WALL_RADIUS_PX * s
        for a, b in ((low, low), (low, high)), ((high, low), (high, high)):
            for (x0, y0), (x1, y1) in ((a, b), (a[::-1], b[::-1])):
                wall = (x0 - thick, y0 - thick, x1 + thick, y1 + thick)
                paint_boxes(image, (0.0, 0.0), 0.0, [wall], [(0.0, WALL)])
