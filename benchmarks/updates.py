"""One policy update in three ways, on models of two sizes, with their time, memory and direction."""

import dataclasses
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity
from torch.optim import Adam
from torch.profiler import ProfilerActivity, profile

from core.baselines.full_gradient import Nudged, discounted_return, full_path
from core.baselines.ppo import PPOSpec, PPOTrainer
from core.data.dataset import Dataset
from core.data.episode import Episode
from core.data.windows import Windows
from core.data.writer import DatasetWriter
from core.devices import generator_for, upload
from core.global_model.model import GlobalConfig, GlobalModel
from core.jobs.spec import PolicySpec
from core.local_model.losses import LossWeights, local_loss
from core.local_model.model import LocalConfig, LocalModel
from core.policy.actor_critic import Actor, ActorConfig, Critics
from core.policy.losses import actor_loss
from core.policy.rollout import ImaginedEnvs, ImaginedRollout, LocalPath, local_path
from core.training.descent import descend
from core.training.local_model import sum_of, to_segments
from core.training.starts import Starts, first_environments

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler reports every start and stop

SIZES: dict[str, dict[str, Any]] = {
    "demo": {
        "image_size": 32,
        "context": 2,
        "channels": (64, 64),
        "layers_per_block": 1,
        "num_denoising_steps": 1,
    },
    "large": {
        "image_size": 64,
        "context": 4,
        "channels": (96, 96),
        "layers_per_block": 2,
        "num_denoising_steps": 3,
    },
}
"""`demo` is the product's default; `large` has the paper's context and number of denoising steps,
and about DIAMOND's parameters."""
ENVIRONMENTS: dict[str, int] = {"demo": PolicySpec.model_fields["environments"].default, "large": 4}
"""Side by side: as the policy job has them; few, where the full graph has to fit into memory."""
ACTION_DIM = 2
ACTOR_STEPS: int = PolicySpec.model_fields["actor_updates"].default


@dataclass
class Problem:
    """Where one update starts: models, environments at real frames, a policy."""

    spec: PolicySpec
    dataset: Dataset
    model: GlobalModel
    local: LocalModel
    actor: Actor
    critics: Critics
    adam: Adam
    envs: ImaginedEnvs

    def seeded(self) -> torch.Generator:
        """The same noise for every way."""
        return generator_for(self.envs.frames.device, self.spec.seed)

    def rollout(self) -> ImaginedRollout:
        """The forward trajectory, which decoupling and PPO need too."""
        envs = dataclasses.replace(self.envs)
        return envs.rollout(self.actor, self.model, self.local, self.spec.horizon, self.seeded())

    def full(self) -> LocalPath:
        """Forward trajectory with its whole graph."""
        args = (self.actor, self.model, self.local, self.spec.horizon, self.seeded())
        return full_path(self.envs, *args)

    def update(self, path: LocalPath, rollout: ImaginedRollout) -> None:
        """The actor step of the policy loop; with rate 0, so that repeats are alike."""
        alpha = torch.zeros((), device=path.rewards.device)
        loss = actor_loss(path, rollout, self.critics, alpha, self.spec.gamma, 0.0)
        descend(loss, self.adam, 0.5)

    def refresh(self) -> None:
        """What decoupling pays besides: one step of the local model, as the policy loop makes it."""
        device = next(self.local.parameters()).device
        batch = Windows(self.dataset, "train", self.spec.horizon + 1).batch(0, 64)
        segments = {name: upload(values, device) for name, values in batch.items()}
        self.local.requires_grad_(True)
        losses = local_loss(self.local, to_segments(segments), LossWeights(), self.seeded())
        descend(sum_of(losses), Adam(self.local.parameters(), lr=0.0), 100.0)
        self.local.requires_grad_(False)


def make_problem(
    dataset: Dataset, model: GlobalModel, local: LocalModel, actor: Actor, spec: PolicySpec
) -> Problem:
    """Environments at real frames; gradients go to the actor's weights alone."""
    model.requires_grad_(False)
    local.requires_grad_(False)
    device = next(local.parameters()).device
    length = max(spec.burn_in, model.config.context)
    starts = Starts(Windows(dataset, "train", length, spec.seed))
    envs = first_environments(spec, starts, model, local)
    critics = Critics(actor.config.features, 0.0, 1.0).to(device)
    adam = Adam(actor.parameters(), lr=0.0)
    return Problem(spec, dataset, model, local, actor, critics, adam, envs)


def measure(problem: Problem, repeats: int) -> dict[str, Any]:
    """Seconds and peak megabytes of each part."""
    rollout = problem.rollout()

    def decoupled() -> None:
        problem.update(local_path(rollout, problem.actor, problem.local), rollout)

    def decoupled_with_rollout() -> None:
        made = problem.rollout()
        problem.update(local_path(made, problem.actor, problem.local), made)

    def full() -> None:
        problem.update(problem.full(), rollout)

    device = next(problem.actor.parameters()).device
    ways: dict[str, Callable[[], object]] = {
        "rollout": problem.rollout,
        "decoupled": decoupled,
        "decoupled_with_rollout": decoupled_with_rollout,
        "full_with_rollout": full,
        "ppo_epoch": ppo_epoch(problem),
        "local_refresh": problem.refresh,
    }
    found: dict[str, Any] = {}
    for name, way in ways.items():
        found[f"{name}_seconds"] = seconds(way, repeats, device)
        found[f"{name}_megabytes"] = megabytes(way, device)
    return found


def ratios(found: Mapping[str, Any]) -> dict[str, float]:
    """The full gradient over the decoupled one: with the rollout on both sides, and without.

    Without: the update alone, which for the full gradient is what its graph adds to a rollout.
    Memory without: the full gradient's graph is made while it rolls out, so its peak stays whole.
    `time_ratio_loop`: for as many actor steps as the policy job makes on a rollout; the full
    gradient has to roll out anew for each.
    """
    full, rollout = found["full_with_rollout_seconds"], found["rollout_seconds"]
    peak, steps = found["full_with_rollout_megabytes"], ACTOR_STEPS
    return {
        "time_ratio_loop": steps * full / (rollout + steps * found["decoupled_seconds"]),
        "time_ratio": full / found["decoupled_with_rollout_seconds"],
        "time_ratio_update": (full - rollout) / found["decoupled_seconds"],
        "memory_ratio": peak / found["decoupled_with_rollout_megabytes"],
        "memory_ratio_update": peak / found["decoupled_megabytes"],
    }


def ppo_epoch(problem: Problem) -> Callable[[], None]:
    """One pass of stable-baselines3's PPO over a rollout of the same size."""
    spec = PPOSpec(
        environments=problem.spec.environments, horizon=problem.spec.horizon, epochs=1, steps=2
    )
    trainer = PPOTrainer(spec, problem.model, problem.dataset)
    trainer.update(0)
    return trainer.ppo.train


def directions(problem: Problem) -> dict[str, float]:
    """Cosines of decoupled and true gradient of the discounted return, from the same rollout."""
    rollout, parameters = problem.rollout(), [*problem.actor.parameters()]
    shape = (problem.spec.environments, problem.spec.horizon, problem.actor.config.action_dim)
    found: list[tuple[Tensor, Tensor]] = []
    for way in ("full", "decoupled"):
        nudge = torch.zeros(shape, device=rollout.noise.device, requires_grad=True)
        watched = Nudged(problem.actor, nudge)
        if way == "full":
            args = (problem.model, problem.local, problem.spec.horizon, problem.seeded())
            path = full_path(problem.envs, watched, *args)
        else:
            path = local_path(rollout, watched, problem.local)
        total = discounted_return(path, problem.spec.gamma)
        of_actions, *of_weights = torch.autograd.grad(total, [nudge, *parameters])
        found.append((torch.cat([g.flatten() for g in of_weights]), of_actions))
    (weights, actions), (weights_d, actions_d) = found
    return {
        "cosine_weights": float(cosine_similarity(weights, weights_d, dim=0)),
        "cosine_first_action": _mean_cosine(actions[:, 0], actions_d[:, 0]),
        "cosine_last_action": _mean_cosine(actions[:, -1], actions_d[:, -1]),
        "norm_ratio_weights": float(weights_d.norm() / weights.norm()),
    }


def _mean_cosine(left: Tensor, right: Tensor) -> float:
    return float(cosine_similarity(left, right, dim=-1).mean())


def seconds(way: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Median time of `repeats` calls after one to warm up.

    On a GPU wall-clock; else processor time of all threads, which other work disturbs less.
    """
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    times = []
    for _ in range(repeats + 1):
        started = clock()
        way()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock() - started)
    return statistics.median(times[1:])


def megabytes(way: Callable[[], object], device: torch.device) -> float:
    """Peak of the memory that torch holds during a call, above what it held before, in 10^6 bytes."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        way()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        way()
    results = watched.profiler.kineto_results
    changes = [(e.start_ns(), e.nbytes()) for e in results.events() if e.name() == "[memory]"]
    held = np.cumsum([size for _, size in sorted(changes, key=lambda c: c[0])])
    return float(max(held.max(initial=0), 0)) / 1e6


def untrained(
    size: str, seed: int, device: torch.device
) -> tuple[Dataset, GlobalModel, LocalModel, Actor]:
    """Models of a size, and random frames to start from: enough to measure cost."""
    torch.manual_seed(seed)
    sizes = SIZES[size]
    config = GlobalConfig(action_dim=ACTION_DIM, patch=4, sigma_max=10.0, **sizes)
    model = GlobalModel(config).to(device).eval()
    local = LocalModel(LocalConfig(sizes["image_size"], ACTION_DIM, 0)).to(device).eval()
    return random_frames(sizes["image_size"], seed), model, local, fresh_actor(local, seed)


def fresh_actor(local: LocalModel, seed: int) -> Actor:
    """An untrained policy on a local model's latent."""
    torch.manual_seed(seed)
    c = local.config
    actor = Actor(ActorConfig(c.deter + c.stoch, c.action_dim))
    return actor.to(next(local.parameters()).device)


def random_frames(image_size: int, seed: int, episodes: int = 4, length: int = 40) -> Dataset:
    """A dataset of noise, in a folder that goes with it."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        with DatasetWriter(Path(folder) / "v1") as writer:
            for _ in range(episodes):
                frames = rng.integers(0, 256, (length, image_size, image_size, 3), dtype=np.uint8)
                actions = rng.uniform(-1, 1, (length - 1, ACTION_DIM)).astype(np.float32)
                reward = rng.normal(size=length - 1).astype(np.float32)
                writer.append(Episode(frames, actions, reward=reward, source="noise"))
            dataset = writer.finish(name="noise", fps=10, action_kind="delta")
        arrays = {name: np.array(values) for name, values in dataset.fields().items()}
    return dataclasses.replace(dataset, **arrays)  # type: ignore[arg-type]
