"""A small world, its dataset and a policy, as finished jobs leave them on disk."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core.artifacts import Artifacts
from core.data.episode import Episode
from core.data.writer import DatasetWriter
from core.envs import TASKS
from core.envs.camera import make_judge
from core.envs.logs import play_episode
from core.global_model.model import GlobalConfig, GlobalModel
from core.local_model.model import LocalConfig, LocalModel
from core.policy.actor_critic import Actor, ActorConfig

SIZE = 16
DATASET, MODEL, LOCAL, POLICY = (
    "ds_0000000000000001",
    "gm_0000000000000001",
    "lm_0000000000000001",
    "pi_0000000000000001",
)


@dataclass(frozen=True)
class Lab:
    """Where it lies."""

    artifacts: Artifacts

    @property
    def model(self) -> Path:
        return self.artifacts.model(MODEL)


def make_lab(root: Path, dataset: str = DATASET, model: str = MODEL, policy: str = POLICY) -> Lab:
    """Untrained networks on real play; weights depend on nothing."""
    artifacts = Artifacts(root)
    push_disc(artifacts.dataset(dataset))
    torch.manual_seed(0)
    world = GlobalModel(GlobalConfig(SIZE, 2, 2, 4, (32, 32), 1, 10.0, 1))
    with torch.no_grad():
        world.reward.head[-1].bias[1] = -20.0  # an untrained end head would end at random
    local = LocalModel(LocalConfig(SIZE, 2, 4, deter=32, stoch=8, hidden=32, units=32))
    actor = Actor(ActorConfig(40, 2, hidden=16))
    with torch.no_grad():
        actor.net[-1].weight.normal_()  # an untrained one hardly acts
    for saved, folder in (
        (world, artifacts.model(model)),
        (actor, artifacts.model(policy)),
        (local, artifacts.model(policy) / "local"),
    ):
        folder.mkdir(parents=True)
        saved.save(folder)
    (artifacts.model(model) / "spec.json").write_text(json.dumps({"dataset": dataset}))
    return Lab(artifacts)


def push_disc(folder: Path, episodes: int = 4) -> None:
    """Play of the real task at a few pixels."""
    env, play = make_judge("push_disc", SIZE), TASKS["push_disc"].play()
    with DatasetWriter(folder) as writer:
        for n in range(episodes):
            one = play_episode(env, play, np.random.default_rng(n))
            episode = Episode(one["image"], one["action"], reward=one["reward"], source=f"{n}.npz")
            writer.append(episode)
        writer.finish(name="push_disc", fps=10, action_kind="delta", task="push_disc")
    env.close()
