"""Small worlds to train on."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from core.data.dataset import Dataset
from core.data.episode import Episode
from core.data.writer import DatasetWriter
from core.global_model.model import GlobalConfig, GlobalModel
from core.jobs.rewards import RewardKind
from core.jobs.spec import GlobalModelSpec, LocalModelSpec, PolicySpec
from core.local_model.model import LocalConfig, LocalModel
from core.policy.actor_critic import Actor, ActorConfig
from core.recorder import Cancelled, NullRecorder

SIZE = 16


def bar_dataset(folder: Path, episodes: int = 8, length: int = 16, size: int = SIZE) -> Dataset:
    """A bright bar that actions push; the reward is its place."""
    rng = np.random.default_rng(0)
    with DatasetWriter(folder) as writer:
        for n in range(episodes):
            actions = rng.uniform(-1, 1, (length - 1, 1)).astype(np.float32)
            start = rng.uniform(size / 4, 3 * size / 4)
            places = np.clip(start + np.concatenate([[0], actions[:, 0].cumsum()]), 0, size)
            bars = np.exp(-((np.arange(size) - places[:, None]) ** 2) / 4) * 255
            frames = np.broadcast_to(
                bars[:, None, :, None].astype(np.uint8), (length, size, size, 3)
            )
            writer.append(
                Episode(
                    np.ascontiguousarray(frames),
                    actions,
                    state=places[:, None].astype(np.float32),
                    reward=(places[1:] / size).astype(np.float32),
                    success=places > size / 2,
                    source=f"bar {n}",
                )
            )
        return writer.finish(name="bar", fps=10, action_kind="delta")


def passing_bar_dataset(folder: Path, episodes: int, rewarded: bool = True) -> Dataset:
    """A bar that passes from left to right at random paces; reward is its place, success the end."""
    rng = np.random.default_rng(1)
    with DatasetWriter(folder) as writer:
        for n in range(episodes):
            places = np.sort(rng.uniform(2, 14, 16))
            bars = np.exp(-((np.arange(SIZE) - places[:, None]) ** 2) / 4) * 255
            frames = np.repeat(bars.astype(np.uint8)[:, None, :, None], SIZE, 1).repeat(3, 3)
            writer.append(
                Episode(
                    frames,
                    np.diff(places)[:, None].astype(np.float32),
                    reward=(places[1:] / SIZE).astype(np.float32) if rewarded else None,
                    success=places > 11,
                    source=f"bar {n}",
                )
            )
        return writer.finish(name="passing bar", fps=10, action_kind="delta")


def global_spec(**changes: object) -> GlobalModelSpec:
    small = {"steps": 12, "reward_steps": 6, "batch_size": 8, "save_every": 4, "log_every": 1}
    return GlobalModelSpec.model_validate(
        {"dataset": "ds_00000000", "channels": (32, 32)} | small | changes
    )


def local_spec(**changes: object) -> LocalModelSpec:
    sizes = {"deter": 32, "stoch": 8, "hidden": 32, "units": 32, "segment": 8, "batch_size": 8}
    small = {"steps": 12, "save_every": 4, "log_every": 1}
    return LocalModelSpec.model_validate({"dataset": "ds_00000000"} | sizes | small | changes)


def policy_spec(**changes: object) -> PolicySpec:
    ids = {"dataset": "ds_00000000", "global_model": "gm_00000000", "local_model": "lm_00000000"}
    small = {"steps": 4, "environments": 6, "horizon": 4, "max_age": 8, "save_every": 2}
    return PolicySpec.model_validate(
        ids | small | {"replay_segments": 12, "critic_weight": 0.5} | changes
    )


def global_model(reward: RewardKind = "logged", num_goals: int = 0) -> GlobalModel:
    torch.manual_seed(0)
    return GlobalModel(
        GlobalConfig(16, 1, 2, 4, (32, 32), 1, 10.0, 1, reward=reward, num_goals=num_goals)
    )


def local_model() -> LocalModel:
    torch.manual_seed(0)
    return LocalModel(LocalConfig(16, 1, 1, deter=32, stoch=8, hidden=32, units=32))


def small_actor() -> Actor:
    return Actor(ActorConfig(40, 1, hidden=16))


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of its state."""
    return {k: v.clone() for k, v in module.state_dict().items()}


class Listener(NullRecorder):
    """Keeps metrics; asks to stop when a step was recorded `stop_after` times."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.values: list[tuple[int, dict[str, float]]] = []
        self.stop_after = stop_after

    @property
    def learned(self) -> list[tuple[int, dict[str, float]]]:
        """The metrics without those that tell how quick the machine is."""
        return [
            (step, {k: v for k, v in values.items() if not k.startswith("data/")})
            for step, values in self.values
        ]

    def scalars(self, step: int, values: object) -> None:
        assert isinstance(values, dict)
        self.values.append((step, dict(values)))

    def raise_if_cancelled(self) -> None:
        if self.stop_after is not None and len(self.values) >= self.stop_after:
            raise Cancelled

    def rewind(self, step: int) -> None:
        self.values = [(s, v) for s, v in self.values if s <= step]
