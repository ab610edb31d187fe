"""What episodes look like beside each other: mirrored or recoloured ones, and cuts inside one."""

from collections.abc import Iterator

import cv2
import numpy as np

from core.data.codes import Code, Remark
from core.data.readers.base import EpisodeRef

_SIDE = 16
_MOST_EPISODES = 10_000
_FEWEST_EPISODES = 5
_APART = 6.0
"""Mean difference of pixels, of 255, from which on two pictures differ."""
_CUT = 40.0
_CUT_RATIO = 8.0
_CHANGES: tuple[tuple[Code, str, str, tuple[slice, ...]], ...] = (
    (
        "mirrored",
        "is like the others when it is mirrored left to right",
        "upload it apart with flip 'horizontal'",
        (slice(None), slice(None, None, -1)),
    ),
    (
        "mirrored",
        "is like the others when it is turned upside down",
        "upload it apart with flip 'vertical'",
        (slice(None, None, -1),),
    ),
    (
        "color_order",
        "is like the others when red and blue are swapped",
        "upload it apart with color_order 'bgr'",
        (slice(None), slice(None), slice(None, None, -1)),
    ),
)


class Looks:
    """Remembers a small mean picture of every episode, and judges them when all are known."""

    def __init__(self) -> None:
        self._means: list[np.ndarray] = []
        self._refs: list[EpisodeRef] = []

    def add(self, frames: np.ndarray, ref: EpisodeRef) -> Iterator[Remark]:
        """Take in frames (L, H, W, 3) u8; remarks on jumps between two of them."""
        small = _small(frames)
        flat = small.reshape(len(small), -1)
        if len(self._means) < _MOST_EPISODES:
            # OpenCV sums 8-bit numbers several times faster than NumPy does.
            mean = cv2.reduce(flat, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F)
            self._means.append(mean.round().astype(np.uint8).reshape(small.shape[1:]))
            self._refs.append(ref)
        change = cv2.reduce(
            cv2.absdiff(flat[1:], flat[:-1]), 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F
        ).ravel()
        at = int(np.argmax(change))
        moving = change[change > 0]
        if len(moving) > 3 and change[at] > max(_CUT, _CUT_RATIO * float(np.median(moving))):
            yield Remark(
                "scene_cut",
                f"image: the scene changes at once between frames {at} and {at + 1}",
                "check whether two recordings were joined, and cut them apart if so",
                file=ref.file,
                episode=ref.number,
                frame=at + 1,
            )

    def remarks(self) -> Iterator[Remark]:
        """Episodes that are like the others only when mirrored or recoloured."""
        if len(self._means) < _FEWEST_EPISODES:
            return
        means = np.stack(self._means).astype(np.float32)
        usual = np.median(means, 0)
        off = np.abs(means - usual).mean((1, 2, 3))
        # What looks the same either way cannot be told.
        told = [c for c in _CHANGES if np.abs(usual[c[3]] - usual).mean() > _APART]
        changed = [np.abs(means[(slice(None), *c[3])] - usual).mean((1, 2, 3)) for c in told]
        for n in np.flatnonzero(off > _APART):
            left = [c[n] for c in changed]
            if not left or min(left) > off[n] / 2:
                continue
            code, message, fix, _ = told[int(np.argmin(left))]
            ref = self._refs[n]
            yield Remark(code, f"image: {message}", fix, file=ref.file, episode=ref.number, frame=0)


def _small(frames: np.ndarray) -> np.ndarray:
    """(L, about 16, about 16, 3): every so many pixels, which costs next to nothing."""
    rows, columns = (max(1, n // _SIDE) for n in frames.shape[1:3])
    return np.ascontiguousarray(frames[:, ::rows, ::columns])
