"""Videos for tests of their readers, with the codec and options that a test asks for."""

import io
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import av
import numpy as np


def encoded(
    frames: np.ndarray,
    fps: float,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: Mapping[str, str] | None = None,
) -> bytes:
    """An mp4 of frames (T, H, W, 3) u8 RGB; frame n is shown at n / fps seconds."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        stream.pix_fmt, stream.options = pixels, dict(options or {})
        stream.thread_count = 1  # with several, the AV1 encoder has been seen to fail
        stream.height, stream.width = frames.shape[1:3]
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
