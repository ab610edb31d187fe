"""Decodes a video on several cores, further than what was asked for."""

import math
import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from queue import Empty, SimpleQueue

from core.data.readers.video_decoder import ERRORS, Decoder, Shown

_MOST_THREADS = 4
_HELD_BYTES = 96 << 20
"""Of frames that are decoded: those of the segment looked at, of the ones behind it that come next,
and of one that was let go when it had begun."""
_BYTES_PER_PIXEL = 1.5  # 4:2:0
_MOST_PIXELS = 640 * 480
"""Larger frames are decoded faster one by one, by all cores together."""
_LEAST_PIXELS = 8 << 20
"""Of all frames of a video: a shorter one is read sooner than it is opened again for each core."""
_ENOUGH_FRAMES = 96
"""Of a segment: to jump to its start costs as much as two or three frames."""


class AheadDecoder:
    """Finds frames as `Decoder` does, best for rising times. While one segment of the video, which
    begins with a key frame, is looked at, the next ones are decoded, a core each."""

    def __init__(self, first: Decoder, make: Callable[[], Decoder]) -> None:
        self._first = first
        """For what segments do not tell. It is not closed here."""
        self._make = make
        self._idle: SimpleQueue[Decoder] = SimpleQueue()
        self._threads = min(_MOST_THREADS, cores())
        pixels = first.height * first.width
        held_frames = int(_HELD_BYTES / (pixels * _BYTES_PER_PIXEL))
        self._most_frames = held_frames // (self._threads + 2) if pixels <= _MOST_PIXELS else 0
        self._starts = segment_starts(first, self._most_frames)
        self._pool = ThreadPoolExecutor(self._threads, "decode")
        self._segments: dict[int, Future[list[Shown]]] = {}
        self._now = -1
        """Number of the segment that is looked at."""
        is_long = pixels * first.frames >= _LEAST_PIXELS
        self.is_of_use = is_long and bool(self._starts) and self._threads > 1
        """False: `Decoder` does as well, for there is little to do, one core, or no place to begin
        from."""

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        while not self._idle.empty():
            self._idle.get().close()

    def nearest(self, time: float) -> Shown | None:
        """The frame that is shown next to a time; None if there is none at all."""
        if not self.is_of_use:
            return self._first.nearest(time)
        frames = self._segment(bisect_right(self._starts, time) - 1)
        i = bisect_left(frames, time, key=lambda shown: shown.time)
        if i == len(frames) or (i == 0 and frames[0].time > time):
            return self._first.nearest(time)  # the nearest may lie elsewhere, or be damaged
        if i and time - frames[i - 1].time <= frames[i].time - time:
            i -= 1
        return frames[i]

    def _segment(self, number: int) -> list[Shown]:
        """Frames of a segment and the first one behind it, while those after it are decoded."""
        if number != self._now:
            wanted = range(number, min(number + 1 + self._threads, len(self._starts)))
            for other in self._segments.keys() - set(wanted):
                self._segments.pop(other).cancel()
            for n in wanted:
                if n not in self._segments:
                    self._segments[n] = self._pool.submit(self._decoded, n)
            self._now = number
        return self._segments[number].result()

    def _decoded(self, number: int) -> list[Shown]:
        """As many frames of a segment as can be decoded, are of the right size and may be held."""
        start, stop = [*self._starts[number : number + 2], math.inf][:2]
        frames: list[Shown] = []
        with suppress(*ERRORS), self._decoder() as decoder:
            for shown in islice(decoder.span(start, stop), self._most_frames + 1):
                if (shown.frame.height, shown.frame.width) != (decoder.height, decoder.width):
                    break
                frames.append(shown)
            self.is_of_use &= bool(decoder.keys)  # the file names key frames that are none
        return frames

    @contextmanager
    def _decoder(self) -> Iterator[Decoder]:
        """One that no other thread uses. It is closed if it fails."""
        try:
            decoder = self._idle.get_nowait()
        except Empty:
            decoder = self._make()
        try:
            yield decoder
        except ERRORS:
            decoder.close()
            raise
        self._idle.put(decoder)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def segment_starts(decoder: Decoder, most_frames: int) -> list[float]:
    """Seconds of key frames far enough from each other, but -inf for the first; empty where there
    are none, or so few that a segment has more frames than wanted."""
    if decoder.rate is None or not decoder.keys:
        return []
    least = min(_ENOUGH_FRAMES, most_frames // 2)
    chosen = decoder.keys[:1]
    for key in decoder.keys:
        if (key - chosen[-1]) * decoder.rate > least - 0.5:
            chosen.append(key)
    stops = [*chosen[1:], chosen[0] + decoder.frames / decoder.rate]
    longest = max(stop - start for start, stop in zip(chosen, stops, strict=True))
    return [-math.inf, *chosen[1:]] if longest * decoder.rate <= most_frames else []
