"""What only a CUDA device can show: `make test-gpu`."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from core.baselines.ppo import PPOSpec, PPOTrainer, train_ppo
from core.devices import bf16_pays, generator_for
from core.stages.setup import seed_everything
from core.training.global_model import train_denoiser
from core.training.labels import labelled
from core.training.local_model import train_local_model
from core.training.policy import train_policy
from core.training.reward import train_reward
from tests.policy.test_no_waiting import World
from tests.training.makers import (
    Listener,
    bar_dataset,
    global_model,
    global_spec,
    local_model,
    local_spec,
    policy_spec,
    small_actor,
    weights,
)

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    seed_everything(0)
    yield
    torch.use_deterministic_algorithms(False)


def world() -> World:
    made = World("cuda", bf16=True)
    made.generator = generator_for(CUDA, 0)
    return made


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("part", [World.rollout, World.learn])
def test_the_host_never_waits_for_the_device(part: Callable[[World], object]) -> None:
    here = world()
    part(here)  # kernels are chosen and memory is taken at the first call
    torch.cuda.synchronize()
    try:
        torch.cuda.set_sync_debug_mode("error")
        part(here)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_data_centre_gpu_computes_in_bfloat16() -> None:
    assert bf16_pays("cuda") == (torch.cuda.get_device_capability() >= (8, 0))


def test_a_step_of_the_global_model_is_the_processors() -> None:
    model = global_model().eval()
    model.config = type(model.config)(**vars(model.config) | {"bf16": False})
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(5, 2, 3, 16, 16, generator=generator) * 2 - 1
    actions = torch.rand(5, 2, 1, generator=generator) * 2 - 1
    noise = model.noise(5, generator, frames.device)
    expected = model.step(frames, actions, generator, noise)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    there = copy.deepcopy(model).to(CUDA)
    found = there.step(frames.to(CUDA), actions.to(CUDA), generator, noise.to(CUDA))
    assert (found.frame.cpu() - expected.frame).abs().max() <= 2.01 / 255  # rounding of a pixel
    torch.testing.assert_close(found.reward.cpu(), expected.reward, atol=2e-2, rtol=0)


def test_every_loop_runs_and_its_checkpoints_resume(tmp_path: Path) -> None:
    dataset = bar_dataset(tmp_path / "data")
    world_model, local, actor = (m.to(CUDA) for m in (global_model(), local_model(), small_actor()))
    train_denoiser(global_spec(), world_model, dataset, Listener(), tmp_path / "denoiser")
    train_reward(global_spec(), world_model, dataset, Listener(), tmp_path / "reward")
    spec = local_spec(distillation_every=2)
    train_local_model(spec, local, dataset, Listener(), tmp_path / "local", world_model)
    real = labelled(dataset, world_model)
    asked = policy_spec(steps=8, local_updates=1, distillation_every=2, burn_in=2)
    began, told = weights(actor), Listener()
    train_policy(
        asked.model_copy(update={"steps": 4}), actor, world_model, local, real, told,
        tmp_path / "policy",
    )  # fmt: skip
    train_policy(asked, actor, world_model, local, real, told, tmp_path / "policy")
    steps = [s for s, v in told.learned if "policy/imagined_reward" in v]
    assert steps == [*range(1, 9)]
    assert any(not torch.equal(began[k], v) for k, v in weights(actor).items())
    assert all(v.isfinite().all() for v in weights(actor).values())


@pytest.mark.filterwarnings("ignore:Dynamo detected")  # a cached version check in diffusers
def test_a_compiled_denoiser_imagines_the_same_frames() -> None:
    model = global_model().eval().to(CUDA)
    frames, actions = torch.zeros(4, 2, 3, 16, 16, device=CUDA), torch.ones(4, 2, 1, device=CUDA)
    noise = model.noise(4, generator_for(CUDA, 0), CUDA)
    plain = model.step(frames, actions, generator_for(CUDA, 0), noise)
    model.denoiser.compile_network()
    compiled = model.step(frames, actions, generator_for(CUDA, 0), noise)
    assert (plain.frame - compiled.frame).abs().mean() < 0.02


def test_ppo_learns_on_the_device(tmp_path: Path) -> None:
    model = global_model().eval().to(CUDA)
    spec = PPOSpec(steps=2, environments=4, horizon=4, batch_size=8, max_age=8)
    trainer = PPOTrainer(spec, model, bar_dataset(tmp_path / "data"))
    assert train_ppo(trainer, Listener(), tmp_path / "ppo").policy.device.type == "cuda"
