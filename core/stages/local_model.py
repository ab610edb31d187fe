"""Stage: the local model."""

from typing import Any

from core.artifacts import StagePaths
from core.data.dataset import DatasetMeta
from core.global_model.model import GlobalModel
from core.jobs.spec import LocalModelSpec
from core.local_model.model import LocalConfig, LocalModel
from core.recorder import Recorder
from core.stages.setup import device, go_on_from, open_dataset, open_model, seed_everything
from core.training.labels import labelled
from core.training.local_model import train_local_model


def run(spec: LocalModelSpec, paths: StagePaths, recorder: Recorder) -> dict[str, Any]:
    """Train and save."""
    seed_everything(spec.seed)
    dataset = open_dataset(spec, paths)
    world = None
    if spec.global_model is not None:
        world = open_model(GlobalModel, spec.global_model, paths).to(device())
        dataset = labelled(dataset, world)
    elif dataset.reward is None:
        raise ValueError(
            f"dataset {spec.dataset} has no rewards: set global_model to the global model whose "
            "reward model labels its frames, the one that the policy will be trained in"
        )
    if spec.distillation_every and world is None:
        raise ValueError(
            "distillation_every asks for counterfactual pairs: set global_model to the model that "
            "is to imagine them"
        )
    model = LocalModel(config_of(spec, dataset.meta)).to(device())
    if spec.start_from is not None:
        go_on_from(model, spec.start_from, paths)
    train_local_model(spec, model, dataset, recorder, paths.checkpoints, world)
    model.eval().save(paths.out)
    return {"parameters": sum(p.numel() for p in model.parameters())}


def config_of(spec: LocalModelSpec, meta: DatasetMeta) -> LocalConfig:
    """Sizes of the model that a spec asks for on such data."""
    return LocalConfig(
        image_size=meta.image_size[0],
        action_dim=meta.action_dim,
        state_dim=meta.state_dim or 0,
        deter=spec.deter,
        stoch=spec.stoch,
        hidden=spec.hidden,
        units=spec.units,
    )
