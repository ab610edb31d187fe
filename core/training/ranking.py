"""Frames in the order they came, on the way to a later one: what the ranking reward learns from."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from core.data.dataset import Dataset

Rows = NDArray[np.int64]


def bradley_terry_loss(scores: Float[Tensor, "batch frames"]) -> Float[Tensor, ""]:
    """-log P(later above earlier), over all pairs of frames given in the order of time.

    P(j above i) = sigmoid(score_j - score_i) (Bradley and Terry 1952; paper, §III-D2).
    """
    earlier, later = torch.triu_indices(scores.shape[1], scores.shape[1], 1).unbind()
    return softplus(scores[:, earlier] - scores[:, later]).mean()


@dataclass(frozen=True)
class Passages:
    """Pieces of training episodes: frames in order, and the goal frame that they led to."""

    starts: Rows
    lengths: Rows
    horizon: int
    """Most steps from the first frame to the goal."""
    margin: int
    """Fewest steps from the last frame to the goal, so that what moves fast does not give it away."""
    frames: int
    """Frames per passage, beside the goal."""
    seed: int

    @classmethod
    def of(cls, dataset: Dataset, horizon: int, frames: int, seed: int) -> "Passages":
        """The margin is a tenth of the horizon. `ValueError` if no training episode is long enough."""
        margin = horizon // 10
        long = [e for e in dataset.train if e.length > frames + margin]
        if not long:
            longest = max((e.length for e in dataset.train), default=0)
            raise ValueError(
                f"the ranking reward compares {frames} frames on the way to one {margin} steps "
                f"later, but the longest training episode has {longest}: log longer episodes or "
                "lower goal_horizon"
            )
        starts = np.array([e.start for e in long], np.int64)
        lengths = np.array([e.length for e in long], np.int64)
        return cls(starts, lengths, horizon, margin, frames, seed)

    def batch(self, step: int, batch_size: int) -> tuple[Rows, Rows]:
        """Rows of frames (batch, frames) and of goals (batch,); depends on (seed, step) only.

        A span of random length ends at the goal; the frames are drawn from it without repeats.
        """
        rng = np.random.default_rng((self.seed, step))
        which = rng.choice(len(self.starts), batch_size, p=self.lengths / self.lengths.sum())
        last = self.lengths[which] - 1
        least = self.frames + self.margin
        spans = rng.integers(least, np.minimum(self.horizon, last) + 1)
        goals = self.starts[which] + rng.integers(spans, last + 1)
        drawn = np.sort(rng.integers((spans - least + 2)[:, None], size=(batch_size, self.frames)))
        return (goals - spans)[:, None] + drawn + np.arange(self.frames), goals
