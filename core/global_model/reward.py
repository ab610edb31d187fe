"""Global reward model: logged rewards regressed from observations (paper, step 2)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class RewardModel(nn.Module):
    """Reward of a transition from the frame it led to and the action.

    Positions decide rewards, so the last feature map is flattened and not pooled.
    """

    def __init__(self, image_size: int, action_dim: int, width: int = 32) -> None:
        super().__init__()
        channels = (3, width, 2 * width, 2 * width)
        layers: list[nn.Module] = []
        for c_from, c_to in zip(channels[:-1], channels[1:], strict=True):
            layers += [nn.Conv2d(c_from, c_to, 3, stride=2, padding=1), nn.SiLU()]
        self.trunk = nn.Sequential(*layers, nn.Flatten())
        flat = channels[-1] * (image_size // 8) ** 2
        self.head = nn.Sequential(nn.Linear(flat + action_dim, 256), nn.SiLU(), nn.Linear(256, 2))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def forward(
        self, frame: Float[Tensor, "batch 3 height width"], action: Float[Tensor, "batch dim"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """(normalised reward, logit of termination) for frames in [-1, 1]."""
        features = self.trunk(frame.contiguous(memory_format=torch.channels_last))
        reward, terminated = self.head(torch.cat([features, action], -1)).float().unbind(-1)
        return reward, terminated

    def reward(self, frame: Tensor, action: Tensor) -> Float[Tensor, " batch"]:
        """Reward in the units of the logs."""
        normalised: Tensor = self(frame, action)[0]
        return normalised * self.std + self.mean
