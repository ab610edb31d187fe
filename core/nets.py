"""Networks that both world models are made of."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


def mlp(sizes: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Linear, LayerNorm, SiLU per hidden size, then a linear output."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


class PatchEncoder(nn.Module):
    """Overlapping 8-pixel patches, embedded alike everywhere, then dense layers over all of them.

    Sharing the first layer teaches sub-pixel positions from few images; not pooling keeps them.
    """

    def __init__(self, image_size: int, units: int, embed: int, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 8, stride=4, padding=2),
            nn.SiLU(),
            nn.Conv2d(width, 32, 1),
            nn.SiLU(),
        )
        self.dense = mlp((32 * (image_size // 4) ** 2, units), embed)

    def forward(
        self, frames: Float[Tensor, "*batch 3 height width"]
    ) -> Float[Tensor, "*batch embed"]:
        images = frames.flatten(0, -4).contiguous(memory_format=torch.channels_last)
        embed: Tensor = self.dense(self.stem(images).flatten(1))
        return embed.reshape(*frames.shape[:-3], -1)
