"""What every learning stage does first."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, Self, TypeVar

import torch

from core.artifacts import StagePaths
from core.data.dataset import Dataset
from core.global_model.model import GlobalModel
from core.jobs.spec import Spec
from core.local_model.model import LocalModel


class Loadable(Protocol):
    """A model that is stored as a folder."""

    @classmethod
    def load(cls, folder: Path) -> Self: ...


M = TypeVar("M", bound=Loadable)


def device() -> torch.device:
    """The accelerator of this machine, or its processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seed_everything(seed: int) -> None:
    """Same seed, same machine, same weights: deterministic kernels and one global seed.

    Promised and tested on a CPU. On a GPU it holds as far as its kernels go: those without a
    deterministic variant run all the same and warn in the job's log.
    """
    # cuBLAS sums in a fixed order only with a workspace of its own, chosen before its first use.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling memory before it is written finds bugs, and costs time; there is nothing to find.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False  # it would choose kernels by timing, others each time
    if torch.cuda.is_available():
        # What is not in bfloat16 runs in TF32, whose 10 bits of fraction are still more.
        torch.set_float32_matmul_precision("high")


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


def go_on_from(model: GlobalModel | LocalModel, model_id: str, paths: StagePaths) -> None:
    """Take over a trained model's weights; `ValueError` names the sizes that differ."""
    old = open_model(type(model), model_id, paths)
    mine, theirs = model.state_dict(), old.state_dict()
    if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in theirs.items()}:
        asked, there = asdict(model.config), asdict(old.config)
        unlike = [f"{k} is {there[k]} there, {v} here" for k, v in asked.items() if v != there[k]]
        raise ValueError(
            f"training cannot go on from {model_id}, which is of other sizes: {'; '.join(unlike)}"
        )
    model.load_state_dict(theirs)


def open_model(kind: type[M], model_id: str, paths: StagePaths) -> M:
    """The model that a spec names."""
    return kind.load(paths.artifacts.existing(paths.artifacts.model(model_id)))
