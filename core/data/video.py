"""H.264 videos that every browser plays, through PyAV."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

_OPTIONS: dict[str, object] = {"crf": "18", "preset": "veryfast", "g": "10"}
"""A key frame every 10 frames lets a viewer step to any frame at once."""


def write_mp4(path: Path, frames: np.ndarray, fps: float, min_side: int = 256) -> None:
    """Write frames (T, H, W, 3) u8 RGB as yuv420p with the index in front.

    Frames smaller than `min_side` pixels are enlarged by a whole factor, so that pixels stay
    sharp; an odd side grows by one pixel, because yuv420p has half as many colour samples.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(f"frames are (T, H, W, 3) uint8 with T > 0, not {frames.shape}")
    factor = max(1, -(-min_side // min(frames.shape[1:3])))
    height, width = (side * factor for side in frames.shape[1:3])
    # Few bytes at the start of the file let a browser play before it has all of it.
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.options = _OPTIONS
        # One thread: the bytes must not depend on the machine's number of cores.
        stream.thread_count = 1
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(_enlarged(frame, factor), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def read_mp4(path: Path) -> np.ndarray:
    """All frames of a video, (T, H, W, 3) u8 RGB."""
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def _enlarged(frame: np.ndarray, factor: int) -> np.ndarray:
    height, width = (side * factor for side in frame.shape[:2])
    large = cv2.resize(frame, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.pad(large, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
