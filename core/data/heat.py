"""Where two videos differ, as a video of colours."""

import cv2
import numpy as np

FULL = 64.0
"""Difference, of 255, that is shown as the brightest colour; most errors are far smaller."""


def heat(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Absolute difference averaged over the channels of (T, H, W, 3) u8, as (T, H, W, 3) u8 RGB.

    Black is equal; the colours rise through red and yellow to white at `FULL`.
    """
    if left.shape != right.shape:
        raise ValueError(f"videos of one shape can be compared, not {left.shape} and {right.shape}")
    distance = np.abs(left.astype(np.float32) - right.astype(np.float32)).mean(-1)
    levels = (distance.clip(max=FULL) * (255 / FULL)).round().astype(np.uint8)
    flat = levels.reshape(len(levels), -1)
    colours = cv2.cvtColor(cv2.applyColorMap(flat, cv2.COLORMAP_HOT), cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(colours.reshape(left.shape))
