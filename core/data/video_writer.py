"""Videos that grow frame by frame, with a key frame every second frame for quick jumps."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import av
import numpy as np
from av.video.frame import PictureType

Codec = Literal["h264", "av1"]
_ENCODERS: dict[Codec, tuple[str, dict[str, str]]] = {
    # One thread each: the bytes must not depend on the machine's number of cores.
    # No frame waits for a later one (bf) and pieces start anew (forced-idr), or Rerun cannot cut out
    # an episode.
    "h264": (
        "libx264",
        {"crf": "18", "preset": "veryfast", "g": "2", "bf": "0", "forced-idr": "1"},
    ),
    "av1": (
        "libsvtav1",
        {"crf": "25", "preset": "8", "g": "2", "svtav1-params": "lp=1:enable-force-key-frames=1"},
    ),
}
PIXEL_FORMAT = "yuv420p"
"""What browsers and loaders of robot data play; colours are stored at half the resolution."""


class VideoWriter:
    """An mp4 of (H, W, 3) u8 RGB frames; frame n is shown at n / fps seconds."""

    def __init__(self, path: Path, fps: float, height: int, width: int, codec: Codec) -> None:
        if height % 2 or width % 2:
            raise ValueError(f"videos have even sides, and frames are {width} x {height}")
        path.parent.mkdir(parents=True, exist_ok=True)
        name, options = _ENCODERS[codec]
        self.path = path
        self.frames = self.bytes = 0
        """Taken so far, and written so far: encoders hold some frames back."""
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        stream = self._container.add_stream(name, rate=Fraction(fps).limit_denominator(1000))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = height, width
        stream.pix_fmt = PIXEL_FORMAT
        stream.options = dict(options)
        stream.thread_count = 1
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._container.close()

    def write(self, frames: np.ndarray) -> None:
        """Append frames (T, H, W, 3) u8, the first of which is a key frame."""
        for n, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pict_type = PictureType.NONE if n else PictureType.I
            self._mux(picture)
            self.frames += 1

    def close(self) -> None:
        """Write what the encoder still holds, and the index."""
        self._mux(None)
        self._container.close()

    def _mux(self, picture: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(picture):
            self.bytes += packet.size
            self._container.mux(packet)
