"""A linear world with quadratic rewards, in the shapes of the local model: everything is known.

State x (`deter`) and the last action a (`stoch`), x' = x + a, reward -(x'^2 + cost a^2).
"""

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from core.local_model.rssm import State
from core.policy.actor_critic import Squashed


class LinearLocal:
    """Has the world's derivatives; its states are off by `bias` a step."""

    def __init__(self, bias: float = 0.0, cost: float = 0.0) -> None:
        self.bias, self.cost = bias, cost
        self.rssm = SimpleNamespace(deter=1, imagine=self.imagine)

    def imagine(self, state: State, action: Tensor) -> State:
        return State(state.deter + action + self.bias, action)

    def reward(self, state: State) -> Tensor:
        return -(state.deter**2 + self.cost * state.stoch**2).sum(-1)


class LinearPolicy(nn.Module):
    """a = gain x + offset, as long as that stays inside (-1, 1)."""

    def __init__(self, gain: float = 0.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain, dtype=torch.float64))
        self.offset = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, features: Tensor) -> Squashed:
        action = self.gain * features[..., :1] + self.offset
        return Squashed(torch.atanh(action), torch.ones_like(action))


def riccati(cost: float, gamma: float) -> tuple[float, float]:
    """(k, p): the best action is -k x, and what is earned from x on is -p x^2.

    p x^2 = min over a of (x + a)^2 (1 + gamma p) + cost a^2.
    """
    p = 0.0
    for _ in range(1000):
        p = cost * (1 + gamma * p) / (1 + gamma * p + cost)
    return (1 + gamma * p) / (1 + gamma * p + cost), p
