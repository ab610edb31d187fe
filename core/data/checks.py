"""What can be wrong with an episode whose shapes are right."""

import hashlib
from collections.abc import Iterator

import numpy as np

from core.data.codes import Code
from core.data.episode import Episode, EpisodeError
from core.data.readers.base import EpisodeRef
from core.data.report import Finding

_FROZEN_FRAMES = 10
_CONSTANT_STEPS = 10


class Duplicates:
    """Recognises an episode that was met before by its frames and actions."""

    def __init__(self) -> None:
        self._seen: dict[bytes, EpisodeRef] = {}

    def check(self, episode: Episode, ref: EpisodeRef) -> None:
        """`EpisodeError` if an equal episode came earlier: it could sit in both splits."""
        digest = hashlib.sha256(episode.frames.data)
        digest.update(np.ascontiguousarray(episode.actions).data)
        first = self._seen.setdefault(digest.digest(), ref)
        if first is not ref:
            raise EpisodeError(
                "duplicate",
                "episode",
                f"has the same frames and actions as episode {first.number} ({first.file})",
                fix="upload every episode once",
            )


def check_motion(episode: Episode) -> None:
    """`EpisodeError` if no frame of three or more differs from the first."""
    if len(episode) > 2 and _longest_still(episode.frames)[1] == len(episode):
        raise EpisodeError(
            "frozen",
            "image",
            f"all {len(episode)} frames are the same",
            fix="check the camera, and leave the episode out",
            frame=0,
        )


def warnings(episode: Episode, ref: EpisodeRef) -> Iterator[Finding]:
    """Doubtful things in a usable episode."""
    start, length = _longest_still(episode.frames)
    if length >= _FROZEN_FRAMES and _moves(episode.actions[start : start + length - 1]):
        yield _warning(
            "frozen",
            ref,
            f"frames {start} to {start + length - 1} are the same while the actions change",
            "check whether the camera dropped frames; cut them out if so",
            start,
        )
    if len(episode.actions) >= _CONSTANT_STEPS and not _moves(episode.actions):
        yield _warning(
            "constant_actions",
            ref,
            f"actions: all {len(episode.actions)} are the same",
            "check that the command was recorded; an episode without it teaches nothing",
            None,
        )


def _moves(actions: np.ndarray) -> bool:
    return bool((actions != actions[:1]).any())


def _longest_still(frames: np.ndarray) -> tuple[int, int]:
    """First frame and number of frames of the longest run of equal frames."""
    flat = frames.reshape(len(frames), -1)
    words = flat.view(np.uint64) if flat.shape[1] % 8 == 0 else flat
    edges = np.flatnonzero([True, *(words[1:] != words[:-1]).any(1), True])
    lengths = np.diff(edges)
    longest = int(np.argmax(lengths))
    return int(edges[longest]), int(lengths[longest])


def _warning(code: Code, ref: EpisodeRef, message: str, fix: str, frame: int | None) -> Finding:
    return Finding(
        severity="warning",
        code=code,
        file=ref.file,
        episode=ref.number,
        frame=frame,
        message=message,
        fix=fix,
    )
