"""Videos as arrays of frames that are found by their time; decoded forward, each frame once."""

import math
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import IO, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from core.data.ahead import one_ahead
from core.data.codes import Remark
from core.data.episode import EpisodeError
from core.data.pictures import MOST_PIXELS
from core.data.readers.files import damaged

CONTAINER = "mov,mp4,m4a,3gp,3g2,mj2"
"""The only kind that is opened: playlists and the like could name other files."""
_PLAYED = ("h264",)
_NEAR_SECONDS = 5.0
"""Frames this far ahead are reached by decoding; further ones by a jump."""
_BATCH_BYTES = 2 << 20
"""Of pictures that are made together, while the next are decoded."""
_SMALL_PIXELS = 128 * 128
"""Frames of fewer are decoded and made into pictures by one thread, one after the other: to share
them out costs half as much as they do."""
_ERRORS = (av.FFmpegError, OSError, ValueError, IndexError, EOFError)


class _Shown(NamedTuple):
    """A frame and when it is shown, in seconds."""

    time: float
    frame: av.VideoFrame


class Video:
    """The first video stream of one mp4. Closes the stream of bytes it was given."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self.name = name
        # One for all frames: to set it up costs more than to convert a small picture.
        self._sizes, self._colors = VideoReformatter(), VideoReformatter()
        self._shown: Iterator[_Shown] = iter(())
        self._before: _Shown | None = None
        self._after: _Shown | None = None
        self._earliest = -math.inf
        """Frames before this time are behind; to see them again, the file must be searched."""
        try:
            self._container = av.open(file, mode="r", format=CONTAINER)
            if not self._container.streams.video:
                raise ValueError("it has no video stream")
            self._stream = self._container.streams.video[0]
            codec = self._stream.codec_context
            self._is_small = codec.height * codec.width < _SMALL_PIXELS
            self._stream.thread_type = "NONE" if self._is_small else "AUTO"
            codec.options = {"max_pixels": str(MOST_PIXELS)}  # it may turn larger on the way
            self.codec: str = codec.name
            self.shape: tuple[int, int, int] = (codec.height, codec.width, 3)
            if not 0 < codec.height * codec.width <= MOST_PIXELS:
                raise ValueError(f"it has {codec.width} x {codec.height} pixels")
            self._seek(0.0)
        except _ERRORS as error:
            file.close()
            cut = "moov atom" in str(error) or isinstance(error, av.InvalidDataError)
            raise EpisodeError(
                "truncated" if cut else "unreadable",
                name,
                f"is not a whole mp4 ({error})",
                fix="close the video in the recorder, or write it again as H.264 or AV1 mp4",
            ) from error

    def close(self) -> None:
        self._container.close()
        self._file.close()

    def remarks(self) -> Iterator[Remark]:
        """Whether others may fail to play it."""
        if self.codec not in _PLAYED:
            yield Remark(
                "video_codec",
                f"image: videos are {self.codec}, which some browsers and OpenCV do not play",
                "nothing to do: previews of the dataset are H.264",
                "info",
                file=self.name,
                frame=0,
            )

    @property
    def rate(self) -> float | None:
        """Frames per second on average, if the file says it."""
        rate = self._stream.average_rate
        return float(rate) if rate else None

    def read(
        self, seconds: np.ndarray, slack: float, size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """(N, H, W, 3) u8: the frame nearest to each time; `EpisodeError` if it is further than
        `slack` seconds away. Cheapest for rising times. With a smaller `size`, height and width,
        frames come as means over areas."""
        frames = np.empty((len(seconds), *(size or self.shape[:2]), 3), np.uint8)
        one_by_one = self._in_turn if self._is_small else self._ahead
        try:
            with closing(one_by_one(seconds, slack)) as coming:
                for i, shown in enumerate(coming):
                    frames[i] = self._picture(shown, size)
        except _ERRORS as error:
            if isinstance(error, EpisodeError):
                raise
            raise damaged(self.name, error) from error
        return frames

    def _in_turn(self, seconds: np.ndarray, slack: float) -> Generator[_Shown, None, None]:
        return (self._near(time, slack) for time in seconds.tolist())

    def _ahead(self, seconds: np.ndarray, slack: float) -> Generator[_Shown, None, None]:
        """As `_in_turn`, but a core decodes, while another makes pictures of what was decoded."""
        step = max(1, _BATCH_BYTES // math.prod(self.shape))

        def decoded(start: int) -> list[_Shown]:
            return list(self._in_turn(seconds[start : start + step], slack))

        starts = range(0, len(seconds), step)
        with closing(one_ahead(decoded, starts, lambda _: True)) as coming:
            for _, made in coming:
                yield from made.result()

    def _nearest(self, time: float) -> _Shown | None:
        self._go_near(time)
        while self._after is not None and self._after.time < time:
            self._before, self._after = self._after, next(self._shown, None)
            self._earliest = self._before.time
        before, after = self._before, self._after
        if before is None or after is None:
            return before or after
        return before if time - before.time <= after.time - time else after

    def _go_near(self, time: float) -> None:
        """Jump if the time lies behind, or far ahead."""
        last = self._after or self._before
        is_far = last is not None and time > last.time + _NEAR_SECONDS
        if time < self._earliest or (is_far and self._after is not None):
            self._seek(time)

    def _seek(self, time: float) -> None:
        """Stand at or before a time; at the start where a file's index of key frames is wrong."""
        for target in (time, 0.0):
            self._container.seek(max(0, int(target * av.time_base)), backward=True)
            self._shown = self._decoded()
            self._before, self._after = None, next(self._shown, None)
            if self._after is not None and self._after.time <= time:
                self._earliest = self._after.time
                return
        self._earliest = -math.inf

    def _decoded(self) -> Iterator[_Shown]:
        """Frames from where the file stands, those without a time left out."""
        second = float(self._stream.time_base or 0)
        for frame in self._container.decode(self._stream):
            if frame.pts is not None:
                yield _Shown(frame.pts * second, frame)

    def _near(self, time: float, slack: float) -> _Shown:
        near = self._nearest(time)
        if near is None or abs(near.time - time) > slack:
            found = "the video is empty" if near is None else f"the nearest is at {near.time:.4f} s"
            raise EpisodeError(
                "time_skew",
                self.name,
                f"has no frame at {time:.4f} s; {found}",
                fix="write the video again with one frame per row of the data",
            )
        return near

    def _picture(self, shown: _Shown, size: tuple[int, int] | None) -> np.ndarray:
        frame = shown.frame
        height, width = frame.height, frame.width
        if (height, width) != self.shape[:2]:
            raise damaged(self.name, f"it turns to {width} x {height} pixels at {shown.time:.2f} s")
        if size is not None:  # colours in full: otherwise they are as coarse as the small picture
            frame = self._sizes.reformat(
                frame, size[1], size[0], "yuv444p", interpolation="AREA", threads=1
            )
        return self._colors.reformat(frame, format="rgb24", threads=1).to_ndarray()


class VideoRows:
    """The frames of one episode, one for each of its times."""

    dtype = np.dtype(np.uint8)

    def __init__(self, video: Video, seconds: np.ndarray, slack: float) -> None:
        self.shape = (len(seconds), *video.shape)
        self._video = video
        self._seconds = seconds
        self._slack = slack

    def read(self, start: int, stop: int) -> np.ndarray:
        return self._video.read(self._seconds[start:stop], self._slack)

    def read_small(self, start: int, stop: int, height: int, width: int) -> np.ndarray:
        return self._video.read(self._seconds[start:stop], self._slack, (height, width))
