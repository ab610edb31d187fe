"""Frames of one mp4 by their time, decoded forward, each once."""

import io
import math
from bisect import bisect_right
from collections.abc import Iterator
from threading import Lock
from typing import IO, NamedTuple

import av

from core.data.pictures import MOST_PIXELS

CONTAINER = "mov,mp4,m4a,3gp,3g2,mj2"
"""The only kind that is opened: playlists and the like could name other files."""
_SMALL_PIXELS = 128 * 128
"""Frames of fewer are decoded by one thread: to share them out costs more than to decode them."""
_HOP_FRAMES = 16
"""A jump to a key frame pays from here on."""
_HOP_SECONDS = 5.0
"""The same where the file does not say at once which frames are keys."""
_BACK_SECONDS = 2.0
"""How far a key frame may be shown after frames that are stored behind it."""
_SAME_SECONDS = 1e-4
"""Times that differ by less mean the same frame: those of logs are often rounded."""
ERRORS = (av.FFmpegError, OSError, ValueError, IndexError, EOFError, OverflowError)
"""What a damaged file raises."""


class Shown(NamedTuple):
    """A frame and when it is shown, in seconds."""

    time: float
    frame: av.VideoFrame


class SharedFile:
    """What several decoders read of one stream of bytes, each at a place of its own."""

    def __init__(self, file: IO[bytes], lock: Lock) -> None:
        self._file, self._lock, self._place = file, lock, 0

    def read(self, count: int) -> bytes:
        with self._lock:
            self._file.seek(self._place)
            found = self._file.read(count)
            self._place += len(found)
        return found

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._lock:
            if whence == io.SEEK_CUR:
                offset, whence = self._place + offset, io.SEEK_SET
            self._place = self._file.seek(offset, whence)
        return self._place

    def tell(self) -> int:
        return self._place


class Decoder:
    """Finds frames of the first video stream. For one thread at a time, which decodes `alone`, or
    with the help of others where frames are large. Raises what PyAV raises."""

    def __init__(self, file: SharedFile, *, alone: bool = False) -> None:
        self._shown: Iterator[Shown] = iter(())
        self._before: Shown | None = None
        self._after: Shown | None = None
        self._earliest = -math.inf
        """Frames before this time are behind; to see them again, the file must be searched."""
        self._container = av.open(file, mode="r", format=CONTAINER)
        if not self._container.streams.video:
            raise ValueError("it has no video stream")
        self._stream = self._container.streams.video[0]
        codec = self._stream.codec_context
        self.codec: str = codec.name
        self.height, self.width = codec.height, codec.width
        pixels = codec.height * codec.width
        if not 0 < pixels <= MOST_PIXELS:
            raise ValueError(f"it has {codec.width} x {codec.height} pixels")
        self.is_small = pixels < _SMALL_PIXELS
        self._stream.thread_type = "NONE" if alone or self.is_small else "AUTO"
        codec.options = {"max_pixels": str(MOST_PIXELS)}  # it may turn larger on the way
        rate = self._stream.average_rate
        self.rate = float(rate) if rate else None
        """Frames per second on average, if the file says it."""
        self.frames: int = self._stream.frames
        """How many the file says that it has; 0 if it does not say it."""
        self.keys = self._key_times()
        """Seconds, about: when key frames are shown, in order. Empty where the file does not say it
        before it is read, or says what is wrong."""
        self._seek(0.0)

    def close(self) -> None:
        self._container.close()

    def nearest(self, time: float) -> Shown | None:
        """The frame that is shown next to a time; None if there is none at all."""
        if time < self._earliest or self._is_far(time):
            self._seek(time)
        while self._after is not None and self._after.time < time:
            self._step(self._after)
        before, after = self._before, self._after
        if before is None or after is None:
            return before or after
        return before if time - before.time <= after.time - time else after

    def span(self, start: float, stop: float) -> Iterator[Shown]:
        """Frames that are shown from `start`, which may be -inf, up to the first one at `stop` or
        later."""
        if start == -math.inf:
            self._seek(0.0)
        else:
            self.nearest(start)
        while self._after is not None:
            shown = self._after
            if shown.time >= start:
                yield shown
            if shown.time >= stop:
                return
            self._step(shown)

    def _step(self, now: Shown) -> None:
        """Leave the frame that came last behind, and decode the next."""
        self._before, self._after = now, next(self._shown, None)
        self._earliest = now.time

    def _is_far(self, time: float) -> bool:
        """A jump is cheaper than to decode until there."""
        if self._after is None:
            return False
        now, keys = self._after.time, self.keys
        if not keys or self.rate is None:
            return time > now + _HOP_SECONDS
        coming = bisect_right(keys, time + _SAME_SECONDS)
        return coming > 0 and keys[coming - 1] > now + _HOP_FRAMES / self.rate

    def _seek(self, time: float) -> None:
        """Stand at or before a time; at the start where the file's index of key frames is wrong,
        which is not believed again."""
        for target in (time, time - _BACK_SECONDS, 0.0):
            self._container.seek(max(0, round(target * av.time_base)), backward=True)
            self._shown = self._decoded()
            self._before, self._after = None, next(self._shown, None)
            if self._after is not None and self._after.time <= time + _SAME_SECONDS:
                self._earliest = self._after.time
                break
        else:
            self._earliest = -math.inf
        if target < time - _BACK_SECONDS:
            self.keys = []

    def _decoded(self) -> Iterator[Shown]:
        """Frames from where the file stands, those without a time left out."""
        second = float(self._stream.time_base or 0)
        try:
            for frame in self._container.decode(self._stream):
                if frame.pts is not None:
                    yield Shown(frame.pts * second, frame)
        except ERRORS:
            self._before = self._after = None
            self._earliest = math.inf  # whatever comes next, it is searched for
            raise

    def _key_times(self) -> list[float]:
        """From the file's index, which tells when frames are decoded: all are shown later by what
        the first one is."""
        stream, second = self._stream, float(self._stream.time_base or 0)
        stamps = sorted(e.timestamp for e in stream.index_entries if e.is_keyframe)
        if not stamps or not 0 < self.frames <= len(stream.index_entries):
            return []
        later = (stream.start_time or 0) - stamps[0]
        return [(stamp + later) * second for stamp in stamps]
