"""Pictures made smaller, everywhere in the same way."""

import cv2
import numpy as np


def shrunk(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture (H, W, channels) u8 as means over areas, (height, width) or with channels.

    What is to become four times smaller or more is halved first: OpenCV does that many times as
    fast, and values move by 2 of 255 at most in pictures without hard edges.
    """
    large = np.ascontiguousarray(frame)
    while large.shape[0] >= 4 * height and large.shape[1] >= 4 * width:
        halves = (large.shape[1] // 2, large.shape[0] // 2)
        large = cv2.resize(large, halves, interpolation=cv2.INTER_AREA)
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
