"""Pictures as the user wants them stored: cut, mirrored, recoloured, squared and resized."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.data.episode import EpisodeError
from core.data.pixels import Layout
from core.jobs.spec import IngestSpec
from core.pictures import shrunk

_FLIPS: dict[str, tuple[slice, slice]] = {
    "none": (slice(None), slice(None)),
    "horizontal": (slice(None), slice(None, None, -1)),
    "vertical": (slice(None, None, -1), slice(None)),
    "both": (slice(None, None, -1), slice(None, None, -1)),
}


@dataclass(frozen=True)
class Shaping:
    """What happens to a picture, in this order."""

    crop: tuple[int, int, int, int] | None = None
    """Left, top, width and height in pixels."""
    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    color_order: Literal["rgb", "bgr"] = "rgb"
    fit: Literal["squeeze", "crop", "pad"] = "squeeze"

    @staticmethod
    def of(spec: IngestSpec) -> "Shaping":
        return Shaping(spec.crop, spec.flip, spec.color_order, spec.fit)

    def size(self, layout: Layout) -> tuple[int, int]:
        """Height and width before the last resize."""
        _, _, height, width = self._box(layout)
        if self.fit == "squeeze":
            return height, width
        side = min(height, width) if self.fit == "crop" else max(height, width)
        return side, side

    def keeps(self, shape: tuple[int, ...], height: int, width: int) -> bool:
        """Whether frames u8 of a shape are stored as they are."""
        return self._plain and shape[1:] == (height, width, 3)

    def only_shrinks(self, shape: tuple[int, ...], height: int, width: int) -> bool:
        """Whether frames u8 of a shape (T, H, W, 3) are made smaller both ways, and that is all."""
        squared = self.fit == "squeeze" or shape[1] == shape[2]
        return self._plain and squared and height < shape[1] and width < shape[2]

    def apply(self, frames: np.ndarray, layout: Layout, height: int, width: int) -> np.ndarray:
        """(T, height, width, 3) u8 of frames u8 in a layout; shrunk by averaging over areas."""
        if layout.channels_first:
            frames = frames.transpose(0, 2, 3, 1)
        if frames.ndim == 3:
            frames = frames[..., None]
        top, left, rows, columns = self._box(layout)
        frames = frames[:, top : top + rows, left : left + columns]
        frames = self._squared(frames[(slice(None), *_FLIPS[self.flip])])
        if frames.shape[1:3] != (height, width):
            frames = _resized(frames, height, width)
        if self.color_order == "bgr":
            frames = frames[..., ::-1]
        return np.broadcast_to(frames, (*frames.shape[:3], 3))

    @property
    def _plain(self) -> bool:
        return self.flip == "none" and self.color_order == "rgb" and self.crop is None

    def _box(self, layout: Layout) -> tuple[int, int, int, int]:
        """Top, left, height and width of the part that is kept."""
        if self.crop is None:
            return 0, 0, layout.height, layout.width
        left, top, width, height = self.crop
        if (
            min(self.crop) < 0
            or 0 in (width, height)
            or (left + width > layout.width or top + height > layout.height)
        ):
            raise EpisodeError(
                "wrong_shape",
                "image",
                f"is {layout.width} x {layout.height} pixels, and crop asks for {width} x {height} "
                f"from ({left}, {top})",
                fix="choose a crop inside the picture: left, top, width, height",
            )
        return top, left, height, width

    def _squared(self, frames: np.ndarray) -> np.ndarray:
        height, width = frames.shape[1:3]
        if self.fit == "squeeze" or height == width:
            return frames
        if self.fit == "crop":
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            return frames[:, top : top + side, left : left + side]
        side = max(height, width)
        out = np.zeros((len(frames), side, side, frames.shape[3]), np.uint8)
        top, left = (side - height) // 2, (side - width) // 2
        out[:, top : top + height, left : left + width] = frames
        return out


def _resized(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    out = np.empty((len(frames), height, width, frames.shape[3]), np.uint8)
    for small, frame in zip(out, frames, strict=True):
        small[...] = shrunk(frame, height, width).reshape(small.shape)
    return out
