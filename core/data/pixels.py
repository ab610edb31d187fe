"""How logged pictures lie in memory, and what their values mean."""

from dataclasses import dataclass

import cv2
import numpy as np

from core.data.episode import EpisodeError

_MOST_SIDE_PX = 8192
_FIX = "store images as (frames, height, width, 3) uint8, RGB, 0..255"


@dataclass(frozen=True)
class Layout:
    """Where height, width and colour lie in an array of frames."""

    height: int
    width: int
    channels_first: bool
    """Colour before height; of no meaning for gray frames without a colour axis."""

    @staticmethod
    def of(shape: tuple[int, ...]) -> "Layout":
        """Recognise (T,H,W), (T,H,W,1|3) and (T,1|3,H,W); `EpisodeError` for others."""
        first = len(shape) == 4 and shape[3] not in (1, 3) and shape[1] in (1, 3)
        if not first and not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))):
            raise EpisodeError(
                "wrong_shape", "image", f"has shape {shape}, which is not that of images", fix=_FIX
            )
        height, width = shape[2:4] if first else shape[1:3]
        if not (0 < height <= _MOST_SIDE_PX and 0 < width <= _MOST_SIDE_PX):
            raise EpisodeError(
                "wrong_shape",
                "image",
                f"is {width} x {height} pixels; sides are 1 to {_MOST_SIDE_PX}",
                fix=_FIX,
            )
        return Layout(height, width, first)


class Range:
    """What a pixel value means: 0..255, or 0..1 in floats. Learnt once, held for all episodes."""

    def __init__(self) -> None:
        self._scale: float | None = None
        """255 / greatest value; None until a float image that is not black was seen."""

    @property
    def greatest(self) -> float:
        """White, in the logs' own values."""
        return 255.0 / (self._scale or 1.0)

    def to_u8(self, block: np.ndarray, first_frame: int) -> np.ndarray:
        """Same shape in uint8; `EpisodeError` for values outside the range, with the frame."""
        if block.dtype == np.uint8:
            return block
        if block.dtype == np.bool_:
            return block.astype(np.uint8) * np.uint8(255)
        if block.dtype.kind == "f":
            return self._from_float(block.astype(np.float32, copy=False), first_frame)
        _check_within(block, 0, 255, first_frame)
        return block.astype(np.uint8)

    def _from_float(self, block: np.ndarray, first_frame: int) -> np.ndarray:
        flat = block.reshape(len(block), -1)
        if not np.isfinite(flat).all():
            frame = first_frame + int(np.argmin(np.isfinite(flat).all(1)))
            raise EpisodeError(
                "not_finite",
                "image",
                f"holds NaN or infinity in frame {frame}",
                fix="repair or cut out that frame and upload again",
                frame=frame,
            )
        if self._scale is None and (greatest := float(flat.max(initial=0))) > 0:
            self._scale = 255.0 if greatest <= 1 else 1.0
        scale = self._scale or 1.0
        _check_within(flat, 0, 255 / scale, first_frame)
        return cv2.convertScaleAbs(flat, alpha=scale).reshape(block.shape)


def _check_within(block: np.ndarray, low: float, high: float, first_frame: int) -> None:
    if not block.size or (block.min() >= low and block.max() <= high):
        return
    flat = block.reshape(len(block), -1)
    row = int(np.argmax(((flat < low) | (flat > high)).any(1)))
    raise EpisodeError(
        "pixel_range",
        "image",
        f"frame {first_frame + row} holds values {flat[row].min():g} to {flat[row].max():g}, "
        f"outside {low:g}..{high:g}, the range found in these logs",
        fix=_FIX,
        frame=first_frame + row,
    )
