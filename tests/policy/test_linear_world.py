"""A world whose optimal policy is known: the loop's own losses find it, though the local model is off.

The global model is exact; the local one is biased in its values, but has the right derivative.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.local_model.rssm import State
from core.policy.dream import dream, dream_path
from core.policy.losses import actor_loss
from core.policy.rollout import LocalPath, Trajectory, local_path
from tests.policy.linear import LinearLocal, LinearPolicy, riccati

COST, GAMMA, HORIZON = 0.8, 0.9, 2
GAIN, WORTH = riccati(COST, GAMMA)
BIASED = LinearLocal(bias=0.1, cost=COST)
EXACT = LinearLocal(cost=COST)


def value(features: Tensor) -> Tensor:
    """The optimal value, twice, as two critics would say it."""
    return (-WORTH * features[..., 0] ** 2).expand(2, *features.shape[:-1])


def swapped(start: State, noise: Tensor, actor: LinearPolicy) -> tuple[LocalPath, Trajectory]:
    """Values of the exact world, derivatives of the biased model."""
    rollout = dream(start, noise, actor, EXACT)  # type: ignore[arg-type]
    return local_path(rollout, actor, BIASED), rollout  # type: ignore[arg-type]


def dreamt(start: State, noise: Tensor, actor: LinearPolicy) -> tuple[LocalPath, Trajectory]:
    """Values and derivatives of the biased model."""
    path = dream_path(start, noise, actor, BIASED)  # type: ignore[arg-type]
    return path, dream(start, noise, actor, BIASED)  # type: ignore[arg-type]


def trained(
    imagined: Callable[[State, Tensor, LinearPolicy], tuple[LocalPath, Trajectory]],
    bootstrap: float = 1.0,
) -> LinearPolicy:
    actor = LinearPolicy()
    adam = torch.optim.Adam(actor.parameters(), lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 300)
    generator = torch.Generator().manual_seed(0)
    noise = torch.zeros(32, HORIZON, 1, dtype=torch.float64)
    for _ in range(300):
        x = torch.rand(32, 1, generator=generator, dtype=torch.float64) - 0.5
        path, rollout = imagined(State(x, torch.zeros_like(x)), noise, actor)
        nothing = torch.zeros(())
        loss = actor_loss(path, rollout, value, nothing, GAMMA, bootstrap)  # type: ignore[arg-type]
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
    return actor


def test_riccati_is_the_best_of_all_gains() -> None:
    def earned(k: float) -> float:
        x, total = 1.0, 0.0
        for t in range(200):
            total -= GAMMA**t * (((1 - k) * x) ** 2 + COST * (k * x) ** 2)
            x *= 1 - k
        return total

    assert earned(GAIN) == pytest.approx(-WORTH, rel=1e-6)
    assert earned(GAIN) > max(earned(GAIN - 0.02), earned(GAIN + 0.02))


def test_decoupled_gradients_find_the_optimal_policy() -> None:
    actor = trained(swapped)
    assert actor.gain.item() == pytest.approx(-GAIN, abs=2e-3)
    assert actor.offset.item() == pytest.approx(0, abs=2e-3)


def test_without_the_terminal_value_the_policy_is_shortsighted() -> None:
    assert trained(swapped, bootstrap=0.0).gain.item() > -GAIN + 5e-3


def test_a_policy_trained_in_the_biased_model_alone_is_biased() -> None:
    assert abs(trained(dreamt).offset.item()) > 0.03
