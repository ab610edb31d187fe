"""A world whose optimal policy is known: decoupled gradients find it, though the local model is off.

State x, action a, x' = x + a, reward -(x')^2: the best action is -x. The global model is exact;
the local one is biased in its values, but has the right derivative.
"""

import torch
from torch import Tensor, nn

from core.policy.gradient import swap_gradient


def train(swap: bool) -> float:
    torch.manual_seed(0)
    policy = nn.Linear(1, 1)
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.02)
    for _ in range(400):
        x: Tensor = torch.randn(64, 1)
        total = torch.zeros(())
        for _ in range(3):
            action = policy(x)
            predicted = x + action + 0.7  # local model: biased
            x = swap_gradient(x + action, predicted) if swap else predicted
            total = total + (x**2).mean()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    x = torch.linspace(-1, 1, 11)[:, None]
    return (policy(x) + x).abs().max().item()


def test_decoupled_gradients_find_the_optimal_policy() -> None:
    assert train(swap=True) < 0.02


def test_a_policy_trained_in_the_biased_model_alone_is_biased() -> None:
    assert train(swap=False) > 0.5
