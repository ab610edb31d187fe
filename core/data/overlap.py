"""Episodes that several datasets hold in part, as a dataset and one that was cut out of it do."""

import hashlib
from collections import Counter

import numpy as np

from core.data.episode import Episode, EpisodeError

SHARED = 0.1
"""Less than that is what episodes of one simulator may have in common, such as a first step."""


class Overlaps:
    """Recognises steps that were met in another dataset, by both frames and the action."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, int]] = {}

    def check(self, episode: Episode, dataset: int, number: int) -> None:
        """`EpisodeError` if a tenth of the moving steps are known from another dataset.

        Such an episode could sit in the other split than the one it shares them with.
        """
        steps = moving_steps(episode)
        known = Counter(
            n for s in steps if (seen := self._seen.get(s)) and seen[0] != dataset for n in seen[1:]
        )
        if known and known.total() >= SHARED * len(steps):
            first, _ = known.most_common(1)[0]
            raise EpisodeError(
                "duplicate",
                "episode",
                f"shares {known.total()} of its {len(steps)} moving steps with episodes of another "
                f"dataset, most with episode {first}",
                fix="nothing, or merge the dataset first that has more of the episode",
            )
        for step in steps:
            self._seen.setdefault(step, (dataset, number))


def moving_steps(episode: Episode) -> set[int]:
    """A number for each step that changes the picture: still ones look alike everywhere."""
    frames = [
        hashlib.blake2b(np.ascontiguousarray(f).data, digest_size=16).digest()
        for f in episode.frames
    ]
    actions = [np.ascontiguousarray(a).tobytes() for a in episode.actions]
    steps = zip(frames[:-1], actions, frames[1:], strict=True)
    return {hash(step) for step in steps if step[0] != step[2]}
