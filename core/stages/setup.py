"""What every learning stage does first."""

from pathlib import Path
from typing import Protocol, Self, TypeVar

import torch

from core.artifacts import StagePaths
from core.data.dataset import Dataset
from core.jobs.spec import Spec


class Loadable(Protocol):
    """A model that is stored as a folder."""

    @classmethod
    def load(cls, folder: Path) -> Self: ...


M = TypeVar("M", bound=Loadable)


def device() -> torch.device:
    """The accelerator of this machine, or its processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seed_everything(seed: int) -> None:
    """Same seed, same machine, same weights: deterministic kernels and one global seed."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)


def open_dataset(spec: Spec, paths: StagePaths) -> Dataset:
    """The dataset that a spec names; square frames only."""
    dataset_id: str = spec.dataset  # type: ignore[attr-defined]
    dataset = Dataset.open(paths.artifacts.existing(paths.artifacts.dataset(dataset_id)))
    height, width = dataset.meta.image_size
    if height != width or height % 8:
        raise ValueError(
            f"dataset {dataset_id} has frames of {height} x {width} pixels; models need square "
            "frames with a side that is a multiple of 8: ingest again with image_size"
        )
    return dataset


def open_model(kind: type[M], model_id: str, paths: StagePaths) -> M:
    """The model that a spec names."""
    return kind.load(paths.artifacts.existing(paths.artifacts.model(model_id)))
