"""Recurrent state-space model with a Gaussian latent (Hafner et al., Dreamer)."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.devices import normal
from core.nets import mlp


class State(NamedTuple):
    """Latent state l = [h, z]: `deter` h is the GRU's, `stoch` z the Gaussian's."""

    deter: Float[Tensor, "*batch deter"]
    stoch: Float[Tensor, "*batch stoch"]

    @property
    def features(self) -> Float[Tensor, "*batch features"]:
        """What heads, actor and critic see."""
        return torch.cat([self.deter, self.stoch], -1)


class Gaussian(NamedTuple):
    """Diagonal normal distribution."""

    mean: Tensor
    std: Tensor

    def sample(self, generator: torch.Generator) -> Tensor:
        """Reparameterised sample; gradients reach mean and std."""
        return self.mean + self.std * normal(self.mean.shape, generator, self.mean.device)


class NormedGRU(nn.Module):
    """Gated recurrent unit, one matrix product with LayerNorm (DreamerV3, appendix B)."""

    def __init__(self, inputs: int, deter: int) -> None:
        super().__init__()
        self.gates = nn.Linear(inputs + deter, 3 * deter, bias=False)
        self.norm = nn.LayerNorm(3 * deter)

    def forward(
        self, inputs: Float[Tensor, "*batch inputs"], deter: Float[Tensor, "*batch deter"]
    ) -> Float[Tensor, "*batch deter"]:
        gates = self.norm(self.gates(torch.cat([inputs, deter.to(inputs.dtype)], -1))).float()
        reset, candidate, update = gates.chunk(3, -1)
        candidate = torch.tanh(torch.sigmoid(reset) * candidate)
        keep = torch.sigmoid(1 - update)  # update gate biased by -1: remember by default
        return keep * deter + (1 - keep) * candidate


class RSSM(nn.Module):
    """h' = GRU(h, z, a); prior p(z' | h'); posterior q(z' | h', embedding of o')."""

    def __init__(self, action_dim: int, embed: int, deter: int, stoch: int, hidden: int) -> None:
        super().__init__()
        self.deter, self.stoch = deter, stoch
        self.before = nn.Sequential(
            nn.Linear(stoch + action_dim, hidden), nn.LayerNorm(hidden), nn.SiLU()
        )
        self.cell = NormedGRU(hidden, deter)
        self.prior_net = mlp((deter, hidden), 2 * stoch)
        self.posterior_net = mlp((deter + embed, hidden), 2 * stoch)

    def initial(self, batch: int, device: torch.device) -> State:
        """The state before anything was seen."""
        return State(
            torch.zeros(batch, self.deter, device=device),
            torch.zeros(batch, self.stoch, device=device),
        )

    def advance(self, state: State, action: Tensor) -> Tensor:
        """The deterministic part after an action."""
        inputs = self.before(torch.cat([state.stoch, action], -1))
        deter: Tensor = self.cell(inputs, state.deter)
        return deter

    def prior(self, deter: Tensor) -> Gaussian:
        """What comes next, unseen."""
        return _gaussian(self.prior_net(deter))

    def posterior(self, deter: Tensor, embed: Tensor) -> Gaussian:
        """What came, given its image."""
        return _gaussian(self.posterior_net(torch.cat([deter, embed], -1)))

    def imagine(self, state: State, action: Tensor) -> State:
        """One step through the prior's mean."""
        deter = self.advance(state, action)
        return State(deter, self.prior(deter).mean)

    def observe(self, state: State, action: Tensor, embed: Tensor) -> State:
        """One step through the posterior's mean; filtering, without sampling noise."""
        deter = self.advance(state, action)
        return State(deter, self.posterior(deter, embed).mean)


def _gaussian(parameters: Tensor) -> Gaussian:
    mean, raw = parameters.float().chunk(2, -1)
    return Gaussian(mean, nn.functional.softplus(raw) + 0.1)
