"""Policies of mixed quality, made on purpose: early and late ones, disturbed ones, untrained ones."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.success import Progress
from core.artifacts import Artifacts
from core.data.dataset import Dataset
from core.global_model.model import GlobalModel
from core.jobs.spec import PolicySpec
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor, ActorConfig
from core.stages import policy
from core.stages.setup import device, seed_everything
from core.training.labels import labelled

TRAINED: dict[str, dict[str, Any]] = {
    "trained in imagination": {"method": "fog"},
    "RSSM only": {"method": "rssm_only"},
    "cloned": {"method": "behaviour_cloning"},
    "cloned from the best fifth": {"method": "behaviour_cloning", "clone_share": 0.2},
}
"""Kind of policy to the fields of its spec."""
MOMENTS = {
    "trained in imagination": (0.04, 0.08, 0.15, 0.25, 0.4, 0.6, 0.8, 1.0),
    "RSSM only": (0.15, 0.4, 1.0),
    "cloned": (1.0,),
    "cloned from the best fifth": (0.25, 1.0),
}
"""Shares of each training after which the policy is kept."""
DISTURBED = {1.0: (0.1, 0.2, 0.35, 0.5, 0.75, 1.0), 0.25: (0.2, 0.5), 0.08: (0.3,)}
"""Moment of the imagined training to levels of noise on the actor's weights, in units of the
deviation of each weight matrix."""
UNTRAINED = 3


@dataclass(frozen=True)
class Candidate:
    """A policy: an actor and the local model whose latent it acts on."""

    kind: str
    detail: str
    actor: Actor
    local: LocalModel


class Snapshots(Progress):
    """Keeps the policy at given steps of its training."""

    def __init__(self, actor: Actor, local: LocalModel, folder: Path, steps: set[int]) -> None:
        super().__init__()
        self.actor, self.local, self.folder, self.steps = actor, local, folder, steps

    def progress(self, done: int, total: int, message: str = "") -> None:
        super().progress(done, total, message)
        if done in self.steps:
            place = self.folder / f"{done:05d}"
            (place / "local").mkdir(parents=True, exist_ok=True)
            self.actor.save(place)
            self.local.save(place / "local")


def kept_steps(kind: str, total: int) -> dict[float, int]:
    """Moment to the training step after which it is kept, at least 1."""
    return {moment: max(1, round(moment * total)) for moment in MOMENTS[kind]}


def train_and_keep(artifacts: Artifacts, kind: str, spec: PolicySpec, folder: Path) -> None:
    """Train one policy and keep it at all its moments; an interrupted training goes on."""
    seed_everything(spec.seed)
    dataset = Dataset.open(artifacts.existing(artifacts.dataset(spec.dataset)))
    model = GlobalModel.load(artifacts.existing(artifacts.model(spec.global_model))).to(device())
    local = LocalModel.load(artifacts.existing(artifacts.model(spec.local_model))).to(device())
    actor = Actor(actor_config(local)).to(device())
    keep = Snapshots(actor, local, folder, set(kept_steps(kind, spec.steps).values()))
    real = labelled(dataset, model)
    policy.train(spec, actor, model, local, real, keep, folder / "checkpoints")


def actor_config(local: LocalModel) -> ActorConfig:
    """Sizes of an actor on this local model's latent."""
    return ActorConfig(local.config.deter + local.config.stoch, local.config.action_dim)


def untrained(local: LocalModel, seed: int) -> Iterator[Candidate]:
    """Policies that have learned nothing."""
    for n in range(UNTRAINED):
        torch.manual_seed(UNTRAINED * seed + n)
        yield Candidate("untrained", f"number {n}", Actor(actor_config(local)), local)


def kept(kind: str, folder: Path, steps: int) -> Iterator[Candidate]:
    """What `train_and_keep` left in `folder`, with the disturbed copies."""
    for moment, step in kept_steps(kind, steps).items():
        place = folder / f"{step:05d}"
        actor, local = Actor.load(place), LocalModel.load(place / "local")
        yield Candidate(kind, f"step {step}", actor, local)
        for level in DISTURBED.get(moment, ()) if TRAINED[kind]["method"] == "fog" else ():
            noisy = disturbed(actor, level, seed=step)
            yield Candidate(
                "with noise on its weights", f"step {step}, noise {level}", noisy, local
            )


def disturbed(actor: Actor, level: float, seed: int) -> Actor:
    """A copy with Gaussian noise on each parameter, `level` times that parameter's deviation."""
    generator = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(actor)
    with torch.no_grad():
        for parameter in other.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise * parameter.std(correction=0), alpha=level)
    return other
