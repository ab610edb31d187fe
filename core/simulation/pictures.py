"""Frames as bytes: plain, JPEG or PNG, or as the patches that the model works on."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pixel_unshuffle

from core.global_model.model import to_float
from core.jobs.simulation import Encoding

Frame = NDArray[np.uint8]
# Colours at full resolution: frames are small, and what matters in them may be a few pixels.
_JPEG = [
    *(cv2.IMWRITE_JPEG_QUALITY, 90),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
]


def encode(frame: Frame, encoding: Encoding, patch: int) -> tuple[bytes, tuple[int, ...]]:
    """Bytes and shape of a frame (S, S, 3): pixels as u8, or patches (3 p², S/p, S/p) as f16."""
    match encoding:
        case "raw_u8":
            return frame.tobytes(), frame.shape
        case "raw_f16":
            patches = pixel_unshuffle(to_float(torch.from_numpy(frame))[None], patch)[0]
            return patches.numpy().astype("<f2").tobytes(), tuple(patches.shape)
        case "jpeg":
            return _compressed(frame, ".jpg", _JPEG), frame.shape
        case "png":
            return _compressed(frame, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]), frame.shape


def fitted(frames: Frame, side: int) -> Frame:
    """Square frames (N, H, H, 3) averaged down to `side`, exactly as ingest does it.

    Raises `ValueError` for frames that are not square, or smaller.
    """
    height, width = frames.shape[1:3]
    if height != width or height < side:
        raise ValueError(
            f"the policy sees square frames of {side} pixels, or larger ones averaged down; these "
            f"have {height} x {width}"
        )
    if height == side:
        return frames
    shrunk = [cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in frames]
    return np.stack(shrunk).astype(np.uint8)


def _compressed(frame: Frame, kind: str, options: list[int]) -> bytes:
    done, data = cv2.imencode(kind, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)
    assert done, f"no {kind} encoder"
    return bytes(data)
