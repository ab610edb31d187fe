"""Videos as arrays of frames that are found by their time."""

import math
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from threading import Lock
from typing import IO

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from core.data.ahead import one_ahead
from core.data.codes import Remark
from core.data.episode import EpisodeError
from core.data.readers.files import damaged
from core.data.readers.video_ahead import AheadDecoder
from core.data.readers.video_decoder import ERRORS, Decoder, SharedFile, Shown

_PLAYED = ("h264",)
_BATCH_BYTES = 2 << 20
"""Of large pictures that are made together, while the next are decoded."""
_FEW_FRAMES = 16
"""Are decoded when they are asked for; of more, the next are decoded ahead."""
AnyDecoder = Decoder | AheadDecoder
_Frames = Generator[Shown, None, None]


class Video:
    """The first video stream of one mp4. Closes the stream of bytes it was given."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self.name = name
        # One for all frames: to set it up costs more than to convert a small picture.
        self._sizes, self._colors = VideoReformatter(), VideoReformatter()
        lock = Lock()

        def decoder(*, alone: bool) -> Decoder:
            return Decoder(SharedFile(file, lock), alone=alone)

        try:
            self._decoder = decoder(alone=False)
            self._ahead = AheadDecoder(self._decoder, partial(decoder, alone=True))
        except ERRORS as error:
            file.close()
            cut = "moov atom" in str(error) or isinstance(error, av.InvalidDataError)
            raise EpisodeError(
                "truncated" if cut else "unreadable",
                name,
                f"is not a whole mp4 ({error})",
                fix="close the video in the recorder, or write it again as H.264 or AV1 mp4",
            ) from error
        self.codec = self._decoder.codec
        self.shape = (self._decoder.height, self._decoder.width, 3)

    def close(self) -> None:
        self._ahead.close()
        self._decoder.close()
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

    def read(
        self, seconds: np.ndarray, slack: float, size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """(N, H, W, 3) u8: the frame nearest to each time; `EpisodeError` if it is further than
        `slack` seconds away. Cheapest for rising times. With a smaller `size`, height and width,
        frames come as means over areas."""
        frames = np.empty((len(seconds), *(size or self.shape[:2]), 3), np.uint8)
        decoder = self._ahead if len(seconds) > _FEW_FRAMES else self._decoder
        in_turn = self._ahead.is_of_use or self._decoder.is_small
        coming = self._in_turn if in_turn else self._in_batches
        try:
            with closing(coming(decoder, seconds, slack)) as shown:
                for i, each in enumerate(shown):
                    frames[i] = self._picture(each, size)
        except ERRORS as error:
            if isinstance(error, EpisodeError):
                raise
            raise damaged(self.name, error) from error
        return frames

    def _in_turn(self, decoder: AnyDecoder, seconds: np.ndarray, slack: float) -> _Frames:
        return (self._near(decoder, time, slack) for time in seconds.tolist())

    def _in_batches(self, decoder: AnyDecoder, seconds: np.ndarray, slack: float) -> _Frames:
        """As `_in_turn`, but the next are decoded, while pictures are made of some."""
        step = max(1, _BATCH_BYTES // math.prod(self.shape))

        def decoded(start: int) -> list[Shown]:
            return list(self._in_turn(decoder, seconds[start : start + step], slack))

        starts = range(0, len(seconds), step)
        with closing(one_ahead(decoded, starts, lambda _: True)) as coming:
            for _, made in coming:
                yield from made.result()

    def _near(self, decoder: AnyDecoder, time: float, slack: float) -> Shown:
        near = decoder.nearest(time)
        if near is None or not abs(near.time - time) <= slack:
            found = "the video is empty" if near is None else f"the nearest is at {near.time:.4f} s"
            raise EpisodeError(
                "time_skew",
                self.name,
                f"has no frame at {time:.4f} s; {found}",
                fix="write the video again with one frame per row of the data",
            )
        return near

    def _picture(self, shown: Shown, size: tuple[int, int] | None) -> np.ndarray:
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
