"""Stage: the global model and its reward model."""

from typing import Any

from core.artifacts import StagePaths
from core.data.dataset import DatasetMeta
from core.data.windows import Windows
from core.evaluation.fidelity import fidelity
from core.evaluation.rewards import reward_report
from core.global_model.model import GlobalConfig, GlobalModel
from core.jobs.spec import GlobalModelSpec
from core.recorder import After, Recorder
from core.stages.setup import device, go_on_from, open_dataset, seed_everything
from core.training.global_model import train_denoiser
from core.training.reward import train_reward
from core.training.reward_data import check_reward


def run(spec: GlobalModelSpec, paths: StagePaths, recorder: Recorder) -> dict[str, Any]:
    """Train, save, and say how far held-out imagination can be trusted."""
    seed_everything(spec.seed)
    dataset = open_dataset(spec, paths)
    check_reward(spec, dataset)
    model = GlobalModel(config_of(spec, dataset.meta)).to(device())
    if spec.start_from is not None:
        go_on_from(model, spec.start_from, paths)
    if spec.compile:
        model.denoiser.compile_network()
    train_denoiser(spec, model, dataset, recorder, paths.checkpoints / "denoiser")
    train_reward(spec, model, dataset, After(recorder, spec.steps), paths.checkpoints / "reward")
    model.eval().save(paths.out)
    longest = max(e.length for e in dataset.validation)
    horizon = min(10, longest - spec.context)
    windows = Windows(dataset, "validation", spec.context + horizon)
    quality = fidelity(model, windows, count=64, seed=spec.seed)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "psnr_1": float(quality.imagined[0]),
        f"psnr_{horizon}": float(quality.imagined[-1]),
        "static_psnr_1": float(quality.static[0]),
        f"static_psnr_{horizon}": float(quality.static[-1]),
        "reward_correlation": quality.reward_correlation,
        **reward_report(model.reward, dataset, spec.seed),
    }


def config_of(spec: GlobalModelSpec, meta: DatasetMeta) -> GlobalConfig:
    """Sizes of the model that a spec asks for on such data."""
    return GlobalConfig(
        image_size=meta.image_size[0],
        action_dim=meta.action_dim,
        context=spec.context,
        patch=spec.patch,
        channels=spec.channels,
        layers_per_block=spec.layers_per_block,
        sigma_max=spec.sigma_max,
        num_denoising_steps=spec.num_denoising_steps,
        reward=spec.reward,
        num_goals=len(spec.goals),
    )
