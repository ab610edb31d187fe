"""Analytic, anti-aliased drawing of discs: smooth in sub-pixel movement at any image size."""

import numpy as np
from numpy.typing import NDArray

ARENA_PX = 512.0
BACKGROUND = (242, 240, 234)
GOAL_FILL = (196, 230, 196)
GOAL_MARK = (20, 120, 50)
DISC = (232, 110, 30)
AGENT = (40, 70, 210)
MARK_RADIUS_PX = 12.0

Point = tuple[float, float]
Image = NDArray[np.float32]


def paint_disc(image: Image, centre: Point, radius: float, colour: tuple[int, int, int]) -> None:
    """Blend a disc into an image (S, S, 3) in place; centre and radius in image pixels.

    A pixel's share is its distance inside the rim, clipped to [0, 1]: continuous in the centre.
    """
    size = image.shape[0]
    (x, y), reach = centre, radius + 1.0
    left, right = max(0, int(x - reach)), min(size, int(x + reach) + 1)
    top, bottom = max(0, int(y - reach)), min(size, int(y + reach) + 1)
    if left >= right or top >= bottom:
        return
    across = np.arange(left, right, dtype=np.float32) + np.float32(0.5 - x)
    down = np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - y)
    inside = np.sqrt(down[:, None] ** 2 + across**2)
    np.subtract(np.float32(radius + 0.5), inside, out=inside)
    np.maximum(inside, 0, out=inside)
    np.minimum(inside, 1, out=inside)
    patch = image[top:bottom, left:right]
    patch += inside[..., None] * (np.array(colour, np.float32) - patch)


class PushDiscRenderer:
    """State of `push_disc` to a (size, size, 3) uint8 RGB image."""

    def __init__(self, size: int, agent_radius_px: float = 28.0, disc_radius_px: float = 45.0):
        if size < 8:
            raise ValueError(f"image size must be at least 8 pixels, got {size}")
        self.size, self.scale = size, size / ARENA_PX
        self.agent_radius, self.disc_radius = agent_radius_px, disc_radius_px
        middle = (size / 2, size / 2)
        self._empty = np.full((size, size, 3), BACKGROUND, np.float32)
        paint_disc(self._empty, middle, disc_radius_px * self.scale, GOAL_FILL)

    def __call__(self, agent: Point, disc: Point) -> NDArray[np.uint8]:
        """Draw agent and disc, centres in arena pixels; the goal's mark stays on top."""
        s = self.scale
        image = self._empty.copy()
        paint_disc(image, (disc[0] * s, disc[1] * s), self.disc_radius * s, DISC)
        paint_disc(image, (agent[0] * s, agent[1] * s), self.agent_radius * s, AGENT)
        paint_disc(image, (self.size / 2, self.size / 2), MARK_RADIUS_PX * s, GOAL_MARK)
        image += 0.5
        return image.astype(np.uint8)
