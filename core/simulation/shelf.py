"""Models and datasets at hand: loaded when asked for, the one used least recently dropped."""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from core.artifacts import Artifacts
from core.data.dataset import Dataset
from core.data.windows import Windows
from core.envs import TASKS
from core.global_model.model import GlobalModel
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor
from core.simulation.errors import Refused

T = TypeVar("T")


@dataclass(frozen=True)
class LoadedWorld:
    """A global model with the dataset that it learned from."""

    id: str
    model: GlobalModel
    dataset_id: str
    dataset: Dataset
    windows: Windows
    starts: Any
    """First row of every window of training frames."""

    @property
    def task(self) -> str | None:
        """Name of the task, if it has a true simulator here."""
        return self.dataset.meta.task if self.dataset.meta.task in TASKS else None


@dataclass(frozen=True)
class LoadedPolicy:
    """An actor with the local model on whose latent it acts."""

    id: str
    actor: Actor
    local: LocalModel


class Shelf:
    """At most `most` worlds and policies in memory."""

    def __init__(self, artifacts: Artifacts, device: torch.device, most: int) -> None:
        self._artifacts, self.device, self._most = artifacts, device, most
        self._loaded: OrderedDict[str, object] = OrderedDict()

    def world(self, model_id: str) -> LoadedWorld:
        """Raises `Refused` if there is no such model, or no longer."""
        return self._get(model_id, self._load_world)

    def policy(self, policy_id: str) -> LoadedPolicy:
        """Raises `Refused` if there is no such policy, or no longer."""
        return self._get(policy_id, self._load_policy)

    @property
    def ids(self) -> list[str]:
        """What is in memory, least recently used first."""
        return list(self._loaded)

    def _get(self, model_id: str, load: Callable[[str, Path], T]) -> T:
        folder = self._artifacts.model(model_id)
        if not (folder / "config.json").is_file():
            was_here = self._loaded.pop(model_id, None) is not None
            told = f"{model_id} was deleted" if was_here else f"{model_id} does not exist"
            raise Refused(410 if was_here else 404, "No such model", told)
        if model_id not in self._loaded:
            self._loaded[model_id] = self._tried(load, model_id, folder)
            while len(self._loaded) > self._most:
                self._loaded.popitem(last=False)
                torch.clear_autocast_cache()  # it may hold casts of the weights that go
        self._loaded.move_to_end(model_id)
        return cast(T, self._loaded[model_id])

    def _tried(self, load: Callable[[str, Path], T], model_id: str, folder: Path) -> T:
        try:
            return load(model_id, folder)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            told = f"{model_id} cannot be loaded: {error}"
            raise Refused(422, "The model cannot be played", told) from error

    def _load_world(self, model_id: str, folder: Path) -> LoadedWorld:
        model = GlobalModel.load(folder).to(self.device)
        dataset_id = json.loads((folder / "spec.json").read_text())["dataset"]
        path = self._artifacts.dataset(dataset_id)
        if not path.is_dir():
            told = f"{dataset_id}, which {model_id} starts its episodes from, was deleted"
            raise Refused(422, "No such dataset", told)
        dataset = Dataset.open(path)
        windows = Windows(dataset, "train", model.config.context)
        return LoadedWorld(model_id, model, dataset_id, dataset, windows, windows.starts())

    def _load_policy(self, policy_id: str, folder: Path) -> LoadedPolicy:
        actor = Actor.load(folder).to(self.device)
        return LoadedPolicy(policy_id, actor, LocalModel.load(folder / "local").to(self.device))
