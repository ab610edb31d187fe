"""Global reward model: logged rewards regressed from observations (paper, step 2)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.nets import PatchEncoder


class RewardModel(nn.Module):
    """Reward of a transition from the frame it led to and the action."""

    kind = "logged"
    mean: Tensor
    std: Tensor

    def __init__(
        self, image_size: int, action_dim: int, units: int = 512, embed: int = 256
    ) -> None:
        super().__init__()
        self.encoder = PatchEncoder(image_size, units, embed)
        self.norm = nn.LayerNorm(embed)
        self.head = nn.Sequential(
            nn.Linear(embed + action_dim, embed), nn.SiLU(), nn.Linear(embed, 2)
        )
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def forward(
        self, frame: Float[Tensor, "batch 3 height width"], action: Float[Tensor, "batch dim"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """(normalised reward, logit of termination) for frames in [-1, 1]."""
        features = nn.functional.silu(self.norm(self.encoder(frame)))
        reward, terminated = self.head(torch.cat([features, action], -1)).float().unbind(-1)
        return reward, terminated

    def reward(self, frame: Tensor, action: Tensor) -> Float[Tensor, " batch"]:
        """Reward in the units of the logs."""
        normalised: Tensor = self(frame, action)[0]
        return normalised * self.std + self.mean
