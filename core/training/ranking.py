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
    margin: int
    """Fewest steps from a frame to either end, so that what moves fast does not give it away."""
    frames: int
    """Frames on the way."""
    seed: int

    @classmethod
    def of(cls, dataset: Dataset, horizon: int, frames: int, seed: int) -> "Passages":
        """The margin is a tenth of the horizon. `ValueError` if no training episode is long enough."""
        margin = max(1, horizon // 10)
        long = [e for e in dataset.train if e.length >= frames + 2 * margin]
        if not long:
            longest = max((e.length for e in dataset.train), default=0)
            raise ValueError(
                f"the ranking reward compares {frames} frames that lie {margin} steps inside a "
                f"piece of an episode, but the longest training episode has {longest} frames: log "
                "longer episodes or lower goal_horizon"
            )
        starts = np.array([e.start for e in long], np.int64)
        lengths = np.array([e.length for e in long], np.int64)
        return cls(starts, lengths, horizon, margin, frames, seed)

    def batch(self, step: int, batch_size: int) -> Rows:
        """Rows (batch, frames + 2) in order, start and goal first and last; by (seed, step) only.

        Start and goal are a random span apart; the frames between are drawn without repeats.
        """
        rng = np.random.default_rng((self.seed, step))
        which = rng.choice(len(self.starts), batch_size, p=self.lengths / self.lengths.sum())
        last, inside = self.lengths[which] - 1, np.arange(self.frames)
        least = self.frames - 1 + 2 * self.margin
        spans = rng.integers(least, np.minimum(self.horizon, last) + 1)
        starts = self.starts[which] + rng.integers(last - spans + 1)
        free = (spans - least + 1)[:, None]
        drawn = np.sort(rng.integers(free, size=(batch_size, self.frames))) + inside
        between = starts[:, None] + self.margin + drawn
        return np.concatenate([starts[:, None], between, (starts + spans)[:, None]], 1)


def ranking_loss(embedded: Float[Tensor, "batch frames embed"]) -> Float[Tensor, ""]:
    """Of embedded passages, start first and goal last.

    Later frames are nearer to the goal and, which the same distance must say, farther from the
    start: twice the comparisons for the same frames.
    """
    start, between, goal = embedded[:, :1], embedded[:, 1:-1], embedded[:, -1:]
    to_goal = bradley_terry_loss(-distance(between, goal))
    return (to_goal + bradley_terry_loss(distance(between, start))) / 2
