"""State of `push_disc` to an image."""

import numpy as np
from numpy.typing import NDArray

from core.envs.paint import Point, paint_disc, to_uint8

ARENA_PX = 512.0
BACKGROUND = (242, 240, 234)
GOAL_FILL = (196, 230, 196)
GOAL_MARK = (20, 120, 50)
DISC = (232, 110, 30)
AGENT = (40, 70, 210)
MARK_RADIUS_PX = 12.0


class PushDiscRenderer:
    """Draws (size, size, 3) uint8 RGB images."""

    def __init__(self, size: int, agent_radius_px: float, disc_radius_px: float) -> None:
        if size < 8:
            raise ValueError(f"image size must be at least 8 pixels, got {size}")
        self.size, self.scale = size, size / ARENA_PX
        self.agent_radius, self.disc_radius = agent_radius_px, disc_radius_px
        self._middle = (size / 2, size / 2)
        self._empty = np.full((size, size, 3), BACKGROUND, np.float32)
        paint_disc(self._empty, self._middle, disc_radius_px * self.scale, GOAL_FILL)

    def __call__(self, agent: Point, disc: Point) -> NDArray[np.uint8]:
        """Draw agent and disc, centres in arena pixels; the goal's mark stays on top."""
        s = self.scale
        image = self._empty.copy()
        paint_disc(image, (disc[0] * s, disc[1] * s), self.disc_radius * s, DISC)
        paint_disc(image, (agent[0] * s, agent[1] * s), self.agent_radius * s, AGENT)
        paint_disc(image, self._middle, MARK_RADIUS_PX * s, GOAL_MARK)
        return to_uint8(image)
