"""The presets for a GPU: models of the stated size that train and imagine, here one small step each."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.data.dataset import Dataset
from core.data.windows import Windows
from core.global_model.model import GlobalConfig, GlobalModel, to_float
from core.jobs import presets
from core.jobs.presets import COSTS, Preset
from core.jobs.spec import GlobalModelSpec, Kind, LocalModelSpec, PolicySpec
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor, ActorConfig
from core.stages import global_model, local_model
from core.training.global_model import train_denoiser
from core.training.local_model import train_local_model
from core.training.policy import train_policy
from core.training.reward import train_reward
from tests.training.makers import Listener, bar_dataset, weights

IDS = {"dataset": "ds_00000000", "global_model": "gm_00000000", "local_model": "lm_00000000"}
GPU = (Preset.SINGLE_GPU, pytest.param(Preset.PAPER, marks=pytest.mark.slow))


@pytest.fixture(scope="module", params=GPU)
def preset(request: pytest.FixtureRequest) -> Preset:
    return Preset(request.param)


@pytest.fixture(scope="module")
def dataset(preset: Preset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    size = presets.image_size(preset)
    return bar_dataset(tmp_path_factory.mktemp("bar") / "v1", episodes=4, length=34, size=size)


def overrides(preset: Preset, kind: Kind, **small: object) -> dict[str, object]:
    return dict(presets.overrides(preset, kind)) | {"log_every": 1} | small


def test_denoiser_has_the_stated_number_of_parameters(preset: Preset, dataset: Dataset) -> None:
    spec = GlobalModelSpec(dataset="ds_00000000", **overrides(preset, Kind.GLOBAL_MODEL))  # type: ignore[arg-type]
    config = replace(global_model.config_of(spec, dataset.meta), action_dim=2)
    with torch.device("meta"):
        model = GlobalModel(config)
    count = sum(p.numel() for p in model.denoiser.parameters())
    assert f"{count / 1e6:.1f} M parameter denoiser" in COSTS[preset]


def test_line_of_the_preset_takes_a_step_of_everything(
    preset: Preset, dataset: Dataset, tmp_path: Path
) -> None:
    small = {"steps": 1, "batch_size": 1, "compile": False}
    world_fields = overrides(preset, Kind.GLOBAL_MODEL, **small, reward_steps=1)
    world_spec = GlobalModelSpec.model_validate(
        {"dataset": "ds_00000000"} | world_fields | {"autoregressive_steps": 1}
    )
    world = GlobalModel(global_model.config_of(world_spec, dataset.meta))
    before = weights(world)
    listener = Listener()
    train_denoiser(world_spec, world, dataset, listener, tmp_path / "denoiser")
    train_reward(world_spec, world, dataset, listener, tmp_path / "reward")
    assert any(not torch.equal(v, before[k]) for k, v in weights(world).items())

    local_fields = overrides(preset, Kind.LOCAL_MODEL, steps=1, batch_size=1)
    local_spec = LocalModelSpec.model_validate({"dataset": "ds_00000000"} | local_fields)
    local = LocalModel(local_model.config_of(local_spec, dataset.meta))
    train_local_model(local_spec, local, dataset, listener, tmp_path / "local")

    batch = Windows(dataset, "validation", world_spec.context).batch(0, 1)
    step = world.eval().step(
        to_float(torch.from_numpy(batch["frames"])),
        torch.from_numpy(batch["actions"]),
        torch.Generator().manual_seed(0),
    )
    side = presets.image_size(preset)
    assert step.frame.shape == (1, 3, side, side)
    assert step.frame.isfinite().all()
    assert len(world.sigmas) == 4

    few = {"steps": 1, "environments": 1, "horizon": 2, "actor_updates": 1, "critic_updates": 1}
    policy_spec = PolicySpec.model_validate(
        IDS | overrides(preset, Kind.POLICY, **few, compile=False, local_updates=0)
    )
    actor = Actor(ActorConfig(local_spec.deter + local_spec.stoch, 1))
    start = weights(actor)
    train_policy(policy_spec, actor, world, local, dataset, listener, tmp_path / "policy")
    assert any(not torch.equal(v, start[k]) for k, v in weights(actor).items())


def test_frames_that_cannot_be_halved_are_refused_with_a_way_out() -> None:
    with pytest.raises(ValueError, match="ingest with an image_size that 16 divides"):
        GlobalConfig(72, 2, 4, 2, (64, 64, 64, 64), 1, 10.0, 3)
