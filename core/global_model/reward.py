"""Global reward models: how good a frame is, learned from logs, labels or play alone (step 2)."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from core.jobs.rewards import RewardKind
from core.nets import PatchEncoder

UNITS, EMBED = 512, 256


class RewardModel(nn.Module, ABC):
    """Reward of a transition from the frame it led to and the action.

    `forward` gives it in deviations from the mean over the dataset, `reward` in its own units.
    """

    kind: ClassVar[RewardKind]
    mean: Tensor
    std: Tensor

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.encoder = PatchEncoder(image_size, UNITS, EMBED)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    @abstractmethod
    def forward(
        self, frame: Float[Tensor, "batch 3 height width"], action: Float[Tensor, "batch dim"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """(normalised reward, logit of termination) for frames in [-1, 1]."""

    def reward(self, frame: Tensor, action: Tensor) -> Float[Tensor, " batch"]:
        """Reward in its own units: those of the logs, or log-odds."""
        normalised: Tensor = self(frame, action)[0]
        return normalised * self.std + self.mean


class LoggedReward(RewardModel):
    """Logged rewards, regressed."""

    kind = "logged"

    def __init__(self, image_size: int, action_dim: int) -> None:
        super().__init__(image_size)
        self.norm = nn.LayerNorm(EMBED)
        self.head = nn.Sequential(
            nn.Linear(EMBED + action_dim, EMBED), nn.SiLU(), nn.Linear(EMBED, 2)
        )

    def forward(
        self, frame: Float[Tensor, "batch 3 height width"], action: Float[Tensor, "batch dim"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        features = nn.functional.silu(self.norm(self.encoder(frame)))
        reward, terminated = self.head(torch.cat([features, action], -1)).float().unbind(-1)
        return reward, terminated


class SuccessReward(RewardModel):
    """How soon a frame leads to success (or intent), and a bonus where it shows it.

    Two classifiers: success in this frame, which earns the bonus, and success soon, whose
    log-odds are the slope. Log-odds of the frame's own label would be flat: measured, a classifier
    that is sure says -9.4 to -9.2 wherever there is no success.
    """

    kind = "success"
    BONUS: ClassVar[float] = 1.0
    """Reward for success, in deviations of the score over the dataset."""

    def __init__(self, image_size: int) -> None:
        super().__init__(image_size)
        self.norm = nn.LayerNorm(EMBED)
        self.head = nn.Sequential(nn.Linear(EMBED, EMBED), nn.SiLU(), nn.Linear(EMBED, 3))

    def forward(
        self, frame: Float[Tensor, "batch 3 height width"], action: Float[Tensor, "batch dim"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        soon, success, terminated = self.logits(frame)
        normalised = (squashed(soon) - self.mean) / self.std
        return normalised + self.BONUS * (success > 0), terminated

    def score(self, frame: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, " batch"]:
        """What `mean` and `std` are those of: squashed log-odds of success soon."""
        return squashed(self.logits(frame)[0])

    def logits(
        self, frame: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """Log-odds of success soon, of success in this frame, and of termination."""
        features = nn.functional.silu(self.norm(self.encoder(frame)))
        soon, success, terminated = self.head(features).float().unbind(-1)
        return soon, success, terminated


LIMIT = 10.0
"""Log-odds beyond which a classifier is believed ever less."""


def squashed(logit: Tensor) -> Tensor:
    """The logit, bent to stay within (-LIMIT, LIMIT) with a slope everywhere."""
    return logit / (1 + (logit / LIMIT) ** 2).sqrt()


class RankingReward(RewardModel):
    """Nearness to goal frames: minus the mean distance of embeddings, learned without labels.

    In a pair of frames of one episode, the later one is the nearer to a frame still later, with
    log-odds equal to the difference of their rewards (`core.training.ranking`). A distance, not
    a network of both frames, is what carries over to goals that no episode of its own led to.
    """

    kind = "ranking"
    goals: Tensor

    def __init__(self, image_size: int, num_goals: int) -> None:
        super().__init__(image_size)
        shape = (num_goals, 3, image_size, image_size)
        self.register_buffer("goals", torch.zeros(shape, dtype=torch.uint8))

    def set_goals(self, frames: UInt8[Tensor, "goals height width 3"]) -> None:
        """Keep the frames that show the goal."""
        self.goals.copy_(frames.movedim(-1, -3))

    def forward(
        self, frame: Float[Tensor, "batch 3 height width"], action: Float[Tensor, "batch dim"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        nearness = self.score(frame)
        return (nearness - self.mean) / self.std, torch.full_like(nearness, NEVER)

    def score(self, frame: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, " batch"]:
        """What `mean` and `std` are those of: minus the mean distance to the goals."""
        goals = self.encoder(self.goals.float() / 127.5 - 1)
        return -distance(self.encoder(frame)[:, None], goals).mean(-1)


NEVER = -20.0
"""Logit of termination where nothing says that an episode ends."""


def distance(
    left: Float[Tensor, "*#batch embed"], right: Float[Tensor, "*#batch embed"]
) -> Float[Tensor, "*batch"]:
    """Euclidean distance of embeddings, smooth where they meet."""
    squares: Tensor = ((left.float() - right.float()) ** 2).sum(-1)
    return (squares + 1e-4).sqrt()


def make_reward(
    kind: RewardKind, image_size: int, action_dim: int, num_goals: int = 0
) -> RewardModel:
    """An untrained reward model of a kind."""
    match kind:
        case "logged":
            return LoggedReward(image_size, action_dim)
        case "success":
            return SuccessReward(image_size)
        case "ranking":
            return RankingReward(image_size, num_goals)
