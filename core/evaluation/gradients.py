"""Is the local model's gradient the world's? Cosine against finite differences in the simulator."""

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.devices import upload
from core.global_model.model import to_float
from core.local_model.model import LocalModel


@dataclass(frozen=True)
class Situations:
    """States of the true simulator with what a camera saw on the way there."""

    frames: NDArray[np.uint8]
    """(count, burn_in, H, W, 3)"""
    past_actions: NDArray[np.float32]
    """(count, burn_in, dim): taken at each frame; the last row is the action in question."""
    simulator: NDArray[np.float64]
    """(count, n): simulator states at the last frame."""


def collect_situations(
    env: gym.Env, policy: object, count: int, burn_in: int, seed: int
) -> Situations:
    """Play episodes of `policy` and stop each at a random step: held-out states."""
    rng = np.random.default_rng(seed)
    frames, actions, states = [], [], []
    for i in range(count):
        observation, _ = env.reset(seed=int(rng.integers(2**31)))
        policy.reset(np.random.default_rng(seed + i))  # type: ignore[attr-defined]
        seen, taken = [observation["pixels"]], []
        for _ in range(burn_in - 1 + int(rng.integers(0, 70 - burn_in))):
            action = policy.act(observation)  # type: ignore[attr-defined]
            observation = env.step(action)[0]
            seen.append(observation["pixels"])
            taken.append(action)
        taken.append(policy.act(observation) * 0.5)  # type: ignore[attr-defined]
        frames.append(np.stack(seen[-burn_in:]))
        actions.append(np.stack(taken[-burn_in:]))
        states.append(env.unwrapped.get_state())  # type: ignore[attr-defined]
    return Situations(np.stack(frames), np.stack(actions), np.stack(states))


def true_gradients(
    env: gym.Env, situations: Situations, horizon: int, step: float
) -> NDArray[np.float64]:
    """Central differences of the reward sum over `horizon` steps, one action held; (count, dim)."""

    def total(state: NDArray[np.float64], action: NDArray[np.float64]) -> float:
        env.unwrapped.set_state(state)  # type: ignore[attr-defined]
        return sum(
            float(env.step(np.clip(action, -1, 1).astype(np.float32))[1]) for _ in range(horizon)
        )

    gradients = np.zeros((len(situations.simulator), situations.past_actions.shape[-1]))
    env.reset(seed=0)
    for i, state in enumerate(situations.simulator):
        action = situations.past_actions[i, -1].astype(np.float64)
        for d in range(len(action)):
            shift = np.zeros_like(action)
            shift[d] = step
            up, down = total(state, action + shift), total(state, action - shift)
            gradients[i, d] = (up - down) / (2 * step)
    return gradients


def local_gradients(local: LocalModel, situations: Situations, horizon: int) -> Tensor:
    """The same derivative through the local model, rolled through the prior's mean."""
    device = local.mean_frame.device
    frames = to_float(upload(situations.frames, device))
    actions = upload(situations.past_actions, device)
    with torch.no_grad():
        state = local.burn_in(frames, actions)
    action = actions[:, -1].clone().requires_grad_()
    total = torch.zeros((), device=device)
    for _ in range(horizon):
        state = local.rssm.imagine(state, action)
        total = total + local.reward(state).sum()
    return torch.autograd.grad(total, action)[0]


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """Cosine of each row; rows without a gradient are left out."""
    norm = left.norm(dim=-1) * right.norm(dim=-1)
    keep = norm > 1e-9
    values: Tensor = (left * right).sum(-1)[keep] / norm[keep]
    return values
