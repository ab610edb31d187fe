"""Actor, critics and entropy temperature in SAPO's form (Xing et al., ICLR 2025)."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Self

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import softplus

from core.nets import mlp

MEAN_BOUND = 2.0
"""Largest pre-tanh mean: beyond it tanh is flat and the first-order gradient is gone."""
LOG_STD = (-4.0, 0.5)


class Squashed(NamedTuple):
    """tanh of a diagonal normal."""

    mean: Tensor
    std: Tensor

    def action(self, noise: Tensor) -> Tensor:
        """Reparameterised action in (-1, 1) for given standard noise."""
        return torch.tanh(self.mean + self.std * noise)

    @property
    def mode(self) -> Tensor:
        """The action without noise."""
        return torch.tanh(self.mean)

    def entropy(self, noise: Tensor) -> Float[Tensor, "*batch"]:
        """Entropy of the normal plus a one-sample estimate of E log tanh'."""
        normal = 0.5 * math.log(2 * math.pi * math.e) + self.std.log()
        return (normal + log_tanh_slope(self.mean + self.std * noise)).sum(-1)


def log_tanh_slope(u: Tensor) -> Tensor:
    """log(1 - tanh(u)^2), in a form that does not overflow."""
    return 2 * (math.log(2) - u - softplus(-2 * u))


@dataclass(frozen=True)
class ActorConfig:
    """Sizes of an actor; `config.json` beside its weights."""

    features: int
    action_dim: int
    hidden: int = 256


class Actor(nn.Module):
    """Latent features to a squashed normal with state-dependent deviation."""

    def __init__(self, config: ActorConfig) -> None:
        super().__init__()
        self.config = config
        self.net = mlp((config.features, config.hidden, config.hidden), 2 * config.action_dim)
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=1e-3)  # an untrained policy hardly prefers anything

    def forward(self, features: Float[Tensor, "*batch features"]) -> Squashed:
        mean, raw = self.net(features).chunk(2, -1)
        low, high = LOG_STD
        log_std = low + (high - low) * torch.sigmoid(raw + 1.5)
        return Squashed(MEAN_BOUND * torch.tanh(mean / MEAN_BOUND), log_std.exp())

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`."""
        folder.joinpath("config.json").write_text(json.dumps(asdict(self.config), indent=2))
        save_file(self.state_dict(), folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        actor = cls(ActorConfig(**json.loads(folder.joinpath("config.json").read_text())))
        actor.load_state_dict(load_file(folder / "model.safetensors"))
        return actor.eval()


class Critics(nn.Module):
    """Two value functions: their minimum for targets, their mean for the actor.

    The networks' outputs are of order one; `centre` and `scale` bring them to the size of returns.
    """

    def __init__(self, features: int, centre: float, scale: float, hidden: int = 256) -> None:
        super().__init__()
        self.centre, self.scale = centre, scale
        self.nets = nn.ModuleList(mlp((features, hidden, hidden), 1) for _ in range(2))

    def forward(self, features: Float[Tensor, "*batch features"]) -> Tensor:
        """Values, (2, *batch)."""
        raw = torch.stack([net(features).squeeze(-1) for net in self.nets])
        return self.centre + self.scale * raw


class Temperature(nn.Module):
    """Entropy weight, tuned so that the policy keeps a target entropy (SAC, eq. 18)."""

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(math.log(initial)))

    @property
    def alpha(self) -> Tensor:
        """The weight, without gradient."""
        return self.log_alpha.exp().detach()

    def loss(self, entropy: Tensor, target: float) -> Tensor:
        """Rises when entropy exceeds its target, so that descent lowers the weight."""
        return self.log_alpha.exp() * (entropy.detach() - target).mean()
