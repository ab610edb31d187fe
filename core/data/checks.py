"""What can be wrong with an episode whose shapes are right."""

import hashlib
import zlib
from collections.abc import Iterator

import numpy as np

from core.data.codes import Code, Remark
from core.data.episode import Episode, EpisodeError
from core.data.readers.base import EpisodeRef

_HASHED_EVERY = 8
_FROZEN_FRAMES = 10
_CONSTANT_STEPS = 10
_LONG_SHARE = 0.25
_PADDED_FRAMES = 5
_PROBES = 64
"""Values of a frame that are compared first: most frames differ in one of them."""
_CLIPPED_STEPS = 5
_CLIPPED_SHARE = 0.2
_MANY_VALUES = 8
"""A column of fewer values may be a switch, and a switch stands at its ends."""


class Duplicates:
    """Recognises an episode that was met before by its frames and actions."""

    def __init__(self) -> None:
        self._seen: dict[bytes, EpisodeRef] = {}

    def check(self, episode: Episode, ref: EpisodeRef) -> None:
        """`EpisodeError` if an equal episode came earlier: it could sit in both splits."""
        frames = np.ascontiguousarray(episode.frames)
        # All frames by a sum that costs next to nothing, some and the actions by one that is sure.
        digest = hashlib.sha256(zlib.crc32(frames.data).to_bytes(4, "big"))
        for frame in frames[::_HASHED_EVERY]:
            digest.update(frame.data)
        digest.update(np.ascontiguousarray(episode.actions).data)
        first = self._seen.setdefault(digest.digest(), ref)
        if first is not ref:
            raise EpisodeError(
                "duplicate",
                "episode",
                f"has the same frames and actions as episode {first.number} ({first.file})",
                fix="upload every episode once",
            )


def check_pictures(frames: np.ndarray) -> None:
    """`EpisodeError` if no frame of three or more differs, or pixels are 0 and 1 only."""
    if len(frames) > 2 and _longest_run(frames)[1] == len(frames):
        raise EpisodeError(
            "frozen",
            "image",
            f"all {len(frames)} frames are the same",
            fix="check the camera, and leave the episode out",
            frame=0,
        )
    if frames[:, ::8, ::8].max() <= 1 and frames.any() and frames.max() <= 1:
        raise EpisodeError(
            "pixel_range",
            "image",
            "every pixel is 0 or 1 of 255: values of 0..1 were stored as whole numbers",
            fix="multiply pictures by 255 before they are stored as uint8",
        )


def padding(episode: Episode) -> EpisodeError | None:
    """What fills up the end of an episode: black frames, or still ones without any action."""
    frames = episode.frames
    still = _last_run(frames)
    black = not frames[-1].any()
    first = len(frames) - still if black else len(frames) - still + 1
    idle = not episode.actions[max(first - 1, 0) :].any()
    if len(frames) - first < _PADDED_FRAMES or first < 2 or not idle:
        return None
    what = "black" if black else "the same"
    return EpisodeError(
        "padding",
        "image",
        f"frames {first} to {len(frames) - 1} are {what} and their actions are 0: "
        "this looks like filling, not like recording",
        fix="set bad_episodes to 'trim' to cut it off, or store the real length",
        frame=first,
    )


def remarks(episode: Episode, ref: EpisodeRef) -> Iterator[Remark]:
    """Doubtful things in a usable episode."""
    actions = episode.actions
    start, length = _longest_run(episode.frames)
    if length >= _FROZEN_FRAMES and _moves(actions[start : start + length - 1]):
        yield _remark(
            "frozen",
            ref,
            f"image: frames {start} to {start + length - 1} are the same while the actions change",
            "check whether the camera dropped frames; cut them out if so",
            start,
        )
    if len(actions) < _CONSTANT_STEPS:
        return
    if not _moves(actions):
        yield _remark(
            "constant_actions",
            ref,
            f"actions: all {len(actions)} are the same",
            "check that the command was recorded; an episode without it teaches nothing",
            None,
        )
        return
    yield from _frozen_actions(episode, ref)
    yield from _clipped_actions(actions, ref)


def _frozen_actions(episode: Episode, ref: EpisodeRef) -> Iterator[Remark]:
    start, length = _longest_run(episode.actions)
    frames = episode.frames[start : start + length]
    if (
        length >= max(_CONSTANT_STEPS, _LONG_SHARE * len(episode.actions))
        and (frames != frames[:1]).any()
    ):
        yield _remark(
            "frozen_actions",
            ref,
            f"actions: steps {start} to {start + length - 1} are the same while the frames change",
            "check whether the recorder lost the command; cut these steps out if so",
            start,
        )


def _clipped_actions(actions: np.ndarray, ref: EpisodeRef) -> Iterator[Remark]:
    for column, values in enumerate(actions.T):
        if _is_switch(values):
            continue
        for bound, side in ((values.min(), "least"), (values.max(), "greatest")):
            at = np.flatnonzero(values == bound)
            if bound == 0 or len(at) < max(_CLIPPED_STEPS, _CLIPPED_SHARE * len(values)):
                continue
            yield _remark(
                "clipped_actions",
                ref,
                f"actions: column {column} stands at its {side} value, {bound:g}, in "
                f"{len(at)} of {len(values)} steps",
                "check whether the command was cut to a range; record what was sent to the robot",
                int(at[0]),
            )


def _is_switch(values: np.ndarray) -> bool:
    """Few values that come again. A command that is cut hard has values between its ends, too, but
    no reason to meet one of them twice."""
    found, counts = np.unique(values, return_counts=True)
    between = counts[1:-1]
    return len(found) < _MANY_VALUES and not (len(between) > 1 and (between == 1).all())


def _moves(rows: np.ndarray) -> bool:
    return bool((rows != rows[:1]).any())


def _longest_run(rows: np.ndarray) -> tuple[int, int]:
    """First row and number of rows of the longest run of equal rows, each of any shape."""
    flat = rows.reshape(len(rows), -1)
    some = flat[:, :: max(1, flat.shape[1] // _PROBES)]
    same = (some[1:] == some[:-1]).all(1)
    for i in np.flatnonzero(same):
        same[i] = np.array_equal(flat[i], flat[i + 1])
    lengths = np.diff(edges := np.flatnonzero([True, *~same, True]))
    longest = int(np.argmax(lengths))
    return int(edges[longest]), int(lengths[longest])


def _last_run(rows: np.ndarray) -> int:
    """Number of rows at the end that are the same."""
    count = 1
    while count < len(rows) and np.array_equal(rows[-count - 1], rows[-1]):
        count += 1
    return count


def _remark(code: Code, ref: EpisodeRef, message: str, fix: str, frame: int | None) -> Remark:
    return Remark(code, message, fix, file=ref.file, episode=ref.number, frame=frame)
