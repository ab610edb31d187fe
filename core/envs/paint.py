"""Analytic anti-aliasing: a pixel's share of a shape is its depth inside the outline, clipped to
[0, 1]. Drawings are smooth in sub-pixel movement at any image size, at no cost in resolution."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Colour = tuple[int, int, int]
Image = NDArray[np.float32]
Grid = NDArray[np.float32]
Box = tuple[float, float, float, float]


def paint_disc(image: Image, centre: Point, radius: float, colour: Colour) -> None:
    """Blend a disc into an image (S, S, 3) in place; centre and radius in image pixels."""
    window = _window(image, centre, radius + 1.0)
    across, down = _offsets(window, centre)
    blend(image, window, radius - np.sqrt(down[:, None] ** 2 + across**2), colour)


def paint_boxes(
    image: Image,
    origin: Point,
    angle: float,
    boxes: Sequence[Box],
    layers: Sequence[tuple[float, Colour]],
) -> None:
    """Blend a union of boxes, one layer over the other, into an image (S, S, 3) in place.

    A box is (left, top, right, bottom) around the origin before turning; a layer draws the union
    grown by so much, in its colour. All lengths in image pixels, the angle in radians.
    """
    grow = max(growth for growth, _ in layers)
    reach = max(max(x * x for x in b[::2]) + max(y * y for y in b[1::2]) for b in boxes) ** 0.5
    window = _window(image, origin, reach + 1.5 * grow + 1.0)
    across, down = _offsets(window, origin)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = c * across + (s * down)[:, None], -s * across + (c * down)[:, None]
    depth = _depth(u, v, boxes[0])
    for box in boxes[1:]:
        np.maximum(depth, _depth(u, v, box), out=depth)
    for growth, colour in layers:
        blend(image, window, depth + np.float32(growth), colour)


def blend(image: Image, window: tuple[slice, slice], depth: Grid, colour: Colour) -> None:
    """Blend a colour into the window of an image by depth in pixels, 0 being on the outline."""
    share = np.minimum(np.maximum(depth + np.float32(0.5), 0), 1)
    patch = image[window]
    patch += share[..., None] * (np.array(colour, np.float32) - patch)


def to_uint8(image: Image) -> NDArray[np.uint8]:
    """Round to (S, S, 3) uint8."""
    return (image + np.float32(0.5)).astype(np.uint8)


def _window(image: Image, centre: Point, reach: float) -> tuple[slice, slice]:
    size = image.shape[0]
    spans = [(max(0, int(c - reach)), min(size, max(0, int(c + reach) + 1))) for c in centre]
    (left, right), (top, bottom) = spans
    return slice(top, bottom), slice(left, right)


def _offsets(window: tuple[slice, slice], centre: Point) -> tuple[Grid, Grid]:
    rows, columns = window
    across = np.arange(columns.start, columns.stop, dtype=np.float32)
    down = np.arange(rows.start, rows.stop, dtype=np.float32)
    return across + np.float32(0.5 - centre[0]), down + np.float32(0.5 - centre[1])


def _depth(u: Grid, v: Grid, box: Box) -> Grid:
    """Depth inside an upright box; past a corner, of its sides' lines."""
    left, top, right, bottom = box
    half_u, half_v = np.float32((right - left) / 2), np.float32((bottom - top) / 2)
    inside_u = half_u - np.abs(u - np.float32((left + right) / 2))
    inside_v = half_v - np.abs(v - np.float32((top + bottom) / 2))
    depth: Grid = np.minimum(inside_u, inside_v)
    return depth
