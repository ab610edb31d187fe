"""A policy in the true simulator: return and success with 95 % intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.global_model.model import to_float
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor

Observations = list[dict[str, NDArray[Any]]]


class BatchPolicy(Protocol):
    """Acts in many episodes side by side."""

    def reset(self, count: int, seed: int) -> None: ...
    def act(self, observations: Observations) -> NDArray[np.float32]: ...


class ScriptedBatch:
    """One scripted policy per episode."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def reset(self, count: int, seed: int) -> None:
        self.policies = [self.make() for _ in range(count)]
        for i, policy in enumerate(self.policies):
            policy.reset(np.random.default_rng((seed, i)))

    def act(self, observations: Observations) -> NDArray[np.float32]:
        pairs = zip(self.policies, observations, strict=True)
        return np.stack([policy.act(observation) for policy, observation in pairs])


class LearnedBatch:
    """Actor on the local model's filtered latent, from images only: what an export does.

    With the likeliest action or, to `sample`, one that is drawn, as while it learned.
    """

    def __init__(self, actor: Actor, local: LocalModel, *, sample: bool = False) -> None:
        self.actor, self.local, self.sample = actor, local, sample

    def reset(self, count: int, seed: int) -> None:
        device = next(self.actor.parameters()).device
        self.rng = np.random.default_rng(seed)
        self.state = self.local.rssm.initial(count, device)
        self.last: Tensor = torch.zeros(count, self.actor.config.action_dim, device=device)

    @torch.no_grad()
    def act(self, observations: Observations) -> NDArray[np.float32]:
        pixels = np.stack([o["pixels"] for o in observations])
        frames = to_float(torch.from_numpy(pixels)).to(self.last.device)
        self.state = self.local.rssm.observe(self.state, self.last, self.local.embed(frames))
        policy = self.actor(self.state.features)
        noise = self.rng.normal(size=self.last.shape) * self.sample
        self.last = policy.action(torch.from_numpy(noise).to(self.last))
        return self.last.cpu().numpy().astype(np.float32)


@dataclass(frozen=True)
class Outcome:
    """What became of a number of episodes."""

    returns: NDArray[np.float64]
    success: NDArray[np.bool_]
    """At the last step."""
    ever: NDArray[np.bool_]
    """At any step."""
    coverage: NDArray[np.float64] | None = None
    """Largest share of the goal that was covered, for tasks whose `info` has `coverage`."""
    passed: NDArray[np.bool_] | None = None
    """Went nearly through the goal, for tasks whose `info` has `passes`."""


def run_episodes(
    make_env: Callable[[], gym.Env[Any, Any]],
    policy: BatchPolicy,
    episodes: int,
    seed: int,
    max_steps: int | None = None,
) -> Outcome:
    """Run `episodes` episodes side by side, from starts that depend on `seed` only.

    With `max_steps` each is cut off after that many steps, if it has not ended before.
    """
    envs = [make_env() for _ in range(episodes)]
    starts = start_seeds(episodes, seed)
    observations = [e.reset(seed=s)[0] for e, s in zip(envs, starts, strict=True)]
    policy.reset(episodes, seed)
    returns, ever = np.zeros(episodes), np.zeros(episodes, bool)
    success, running = np.zeros(episodes, bool), np.ones(episodes, bool)
    coverage, passed = np.zeros(episodes), np.zeros(episodes, bool)
    info: dict[str, Any] = {}
    steps = 0
    while running.any() and (max_steps is None or steps < max_steps):
        steps += 1
        actions = policy.act(observations)
        for i in np.flatnonzero(running):
            observations[i], reward, terminated, truncated, info = envs[i].step(actions[i])
            returns[i] += float(reward)
            success[i] = info["is_success"]
            ever[i] |= success[i]
            coverage[i] = max(coverage[i], info.get("coverage", 0.0))
            passed[i] |= info.get("passes", False)
            running[i] = not (terminated or truncated)
    for env in envs:
        env.close()
    return Outcome(
        returns,
        success,
        ever,
        coverage if "coverage" in info else None,
        passed if "passes" in info else None,
    )


def start_seeds(episodes: int, seed: int) -> list[int]:
    """Seeds of the starts of `run_episodes`."""
    return [int(s) for s in np.random.default_rng(seed).integers(2**31, size=episodes)]


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the mean, normal approximation."""
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("inf")
    return float(values.mean() - half), float(values.mean() + half)


def share_interval(successes: int, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z, p = 1.96, successes / total
    centre = (p + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    return float(max(0, centre - half)), float(min(1, centre + half))
