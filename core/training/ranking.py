"""Frames in the order they came, on the way to a later one: what the ranking reward learns from."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from core.data.dataset import Dataset
from core.global_model.reward import distance

Rows = NDArray[np.int64]


def bradley_terry_loss(scores: Float[Tensor, "batch frames"]) -> Float[Tensor, ""]:
    """-log P(later above earlier), over all pairs of frames given in the order of time.

    P(j above i) = sigmoid(score_j - score_i) (Bradley and Terry 1952; paper, §III-D2).
    """
    earlier, later = torch.triu_indices(scores.shape[1], scores.shape[1], 1).unbind()
    return softplus(scores[:, earlier] - scores[:, later]).mean()


@dataclass(frozen=True)
class Passages:
    """Pieces of training episodes: a start, frames on the way, and the goal that they led to."""

    starts: Rows
    lengths: Rows
    horizon: int
    """Most steps from start to goal."""
    frames: int
    """Frames on the way."""
    seed: int

    @classmethod
    def of(cls, dataset: Dataset, horizon: int, frames: int, seed: int) -> "Passages":
        """Raises `ValueError` if no training episode is long enough."""
        long = [e for e in dataset.train if e.length >= frames + 2]
        if not long:
            longest = max((e.length for e in dataset.train), default=0)
            raise ValueError(
                f"the ranking reward compares {frames} frames between two others, but the longest "
                f"training episode has {longest} frames: log longer episodes"
            )
        starts = np.array([e.start for e in long], np.int64)
        lengths = np.array([e.length for e in long], np.int64)
        return cls(starts, lengths, horizon, frames, seed)

    def batch(self, step: int, batch_size: int) -> Rows:
        """Rows (batch, frames + 2) in order, start and goal first and last; by (seed, step) only.

        Spans are drawn log-uniformly: short ones teach what a pose is, long ones what is far. The
        frames between, without repeats, keep a tenth of the span away from either end, so that
        what moves fast, such as the robot itself, does not give the order away.
        """
        rng = np.random.default_rng((self.seed, step))
        which = rng.choice(len(self.starts), batch_size, p=self.lengths / self.lengths.sum())
        last, least = self.lengths[which] - 1, self.frames + 1
        most = np.minimum(self.horizon, last)
        spans = np.exp(rng.uniform(np.log(least), np.log(most + 1))).astype(np.int64)
        spans = np.clip(spans, least, most)  # against rounding
        margins = np.clip(spans // 10, 1, (spans - self.frames + 1) // 2)
        starts = self.starts[which] + rng.integers(last - spans + 1)
        free = spans - 2 * margins - self.frames + 2
        drawn = np.sort(rng.integers(free[:, None], size=(batch_size, self.frames)))
        between = (starts + margins)[:, None] + drawn + np.arange(self.frames)
        return np.concatenate([starts[:, None], between, (starts + spans)[:, None]], 1)


def ranking_loss(embedded: Float[Tensor, "batch frames embed"]) -> Float[Tensor, ""]:
    """Of embedded passages, start first and goal last.

    Later frames are nearer to the goal and, which the same distance must say, farther from the
    start: twice the comparisons for the same frames.
    """
    start, between, goal = embedded[:, :1], embedded[:, 1:-1], embedded[:, -1:]
    to_goal = bradley_terry_loss(-distance(between, goal))
    return (to_goal + bradley_terry_loss(distance(between, start))) / 2
