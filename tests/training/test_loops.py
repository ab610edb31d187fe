"""The loops: they learn, they repeat, they resume, they stop."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from core.data.dataset import Dataset
from core.recorder import After, Cancelled
from core.stages import policy as policy_stage
from core.training.descent import NonFiniteGradient, descend
from core.training.global_model import train_denoiser
from core.training.local_model import train_local_model
from core.training.policy import train_policy
from core.training.reward import train_reward
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

Train = Callable[[Dataset, Listener, Path], nn.Module]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return bar_dataset(tmp_path_factory.mktemp("bar") / "v1")


def denoiser(dataset: Dataset, listener: Listener, folder: Path) -> nn.Module:
    model = global_model()
    train_denoiser(global_spec(), model, dataset, listener, folder)
    return model


def reward(dataset: Dataset, listener: Listener, folder: Path) -> nn.Module:
    model = global_model()
    train_reward(global_spec(), model, dataset, listener, folder)
    return model


def success(dataset: Dataset, listener: Listener, folder: Path) -> nn.Module:
    model = global_model("success")
    train_reward(global_spec(reward="success"), model, dataset, listener, folder)
    return model


def ranking(dataset: Dataset, listener: Listener, folder: Path) -> nn.Module:
    model = global_model("ranking", num_goals=1)
    spec = global_spec(reward="ranking", goals=["2:-1"], goal_horizon=8)
    train_reward(spec, model, dataset, listener, folder)
    return model


def local(dataset: Dataset, listener: Listener, folder: Path) -> nn.Module:
    model = local_model()
    train_local_model(local_spec(), model, dataset, listener, folder)
    return model


def distilled(dataset: Dataset, listener: Listener, folder: Path) -> nn.Module:
    model, spec = local_model(), local_spec(distillation_every=2, distillation_pairs=4)
    train_local_model(spec, model, dataset, listener, folder, global_model().eval())
    assert "local/distilled_difference" in listener.values[0][1]
    return model


def policy(dataset: Dataset, listener: Listener, folder: Path) -> nn.Module:
    world, gradient = global_model().eval(), local_model()
    actor = small_actor()
    spec = policy_spec(horizon=6, max_age=12, distillation_every=2, distillation_pairs=4)
    train_policy(spec, actor, world, gradient, dataset, listener, folder)
    return nn.ModuleList([actor, gradient])


def copied_policy(dataset: Dataset, listener: Listener, folder: Path) -> nn.Module:
    """Starts from a copy of the logs, and then imagines."""
    world, gradient = global_model().eval(), local_model()
    actor, spec = small_actor(), policy_spec(cloning_steps=3, clone_share=0.5)
    policy_stage.train(spec, actor, world, gradient, dataset, listener, folder)
    return nn.ModuleList([actor, gradient])


LOOPS: dict[str, tuple[Train, int]] = {
    "denoiser": (denoiser, 7),
    "reward": (reward, 3),
    "success": (success, 5),
    "ranking": (ranking, 5),
    "local": (local, 7),
    "distilled local": (distilled, 7),
    "policy": (policy, 3),
    "copied policy": (copied_policy, 3),
}
"""Each loop, and after how many records to stop it: between two checkpoints."""


def test_reward_curve_follows_the_denoisers_even_when_resumed(
    dataset: Dataset, tmp_path: Path
) -> None:
    spec, listener = global_spec(), Listener(stop_after=15)

    def both() -> None:
        model = global_model()
        train_denoiser(spec, model, dataset, listener, tmp_path / "denoiser")
        train_reward(spec, model, dataset, After(listener, spec.steps), tmp_path / "reward")

    with pytest.raises(Cancelled):
        both()
    listener.stop_after = None
    both()
    assert [step for step, _ in listener.values] == list(range(1, 19))
    assert ["global/reward_loss" in values for _, values in listener.values] == [False] * 12 + [
        True
    ] * 6


@pytest.mark.parametrize("name", LOOPS)
def test_stopped_and_resumed_run_equals_uninterrupted_run(
    name: str, dataset: Dataset, tmp_path: Path
) -> None:
    train, stop_after = LOOPS[name]
    whole = Listener()
    expected = weights(train(dataset, whole, tmp_path / "whole"))
    stopped = Listener(stop_after)
    with pytest.raises(Cancelled):
        train(dataset, stopped, tmp_path / "parts")
    stopped.stop_after = None
    found = weights(train(dataset, stopped, tmp_path / "parts"))
    assert all(torch.equal(found[k], v) for k, v in expected.items())
    assert stopped.learned == whole.learned
    assert all(0 <= values["data/wait_share"] <= 1 for _, values in whole.values)


@pytest.mark.parametrize("name", LOOPS)
def test_killed_and_resumed_run_equals_uninterrupted_run(
    name: str, dataset: Dataset, tmp_path: Path
) -> None:
    """A kill leaves only what the last regular checkpoint holds."""
    train, stop_after = LOOPS[name]
    expected = weights(train(dataset, Listener(), tmp_path / "whole"))
    killed = Listener(stop_after)
    killed.raise_if_cancelled = lambda: _kill(killed)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        train(dataset, killed, tmp_path / "parts")
    found = weights(train(dataset, Listener(), tmp_path / "parts"))
    assert all(torch.equal(found[k], v) for k, v in expected.items())


def _kill(listener: Listener) -> None:
    assert listener.stop_after is not None
    if len(listener.values) >= listener.stop_after:
        raise KeyboardInterrupt


def test_denoiser_overfits_a_small_dataset(dataset: Dataset, tmp_path: Path) -> None:
    listener = Listener()
    spec = global_spec(steps=120, learning_rate=2e-3, save_every=1000)
    train_denoiser(spec, global_model(), dataset, listener, tmp_path)
    losses = [v["global/loss"] for _, v in listener.values]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_frames_stay_in_channels_last_while_the_denoiser_learns(
    dataset: Dataset, tmp_path: Path
) -> None:
    model = global_model()
    layouts = []
    for part in model.denoiser.net.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_pre_hook(
                lambda _, given: layouts.append(
                    given[0].is_contiguous(memory_format=torch.channels_last)
                )
            )
    train_denoiser(global_spec(steps=1), model, dataset, Listener(), tmp_path)
    assert layouts
    assert all(layouts)


def test_a_gradient_that_is_not_a_number_stops_before_the_step() -> None:
    net = nn.Linear(2, 1)
    before = weights(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    with pytest.raises(NonFiniteGradient, match="learning rate"):
        descend(net(torch.tensor([[float("nan"), 1.0]])).sum(), optimizer, 1.0)
    assert all(torch.equal(v, before[k]) for k, v in weights(net).items())


def test_policy_does_not_depend_on_the_unit_of_rewards(dataset: Dataset, tmp_path: Path) -> None:
    """Rewards eight times as large, exactly so in floating point, make the same actor."""
    found = []
    for unit in (1.0, 8.0):
        world, gradient = global_model().eval(), local_model()
        for buffer in (world.reward.std, world.reward.mean, gradient.reward_std):
            buffer.mul_(unit)
        actor = small_actor()
        spec = policy_spec(local_updates=0, alarm_every=0)
        train_policy(spec, actor, world, gradient, dataset, Listener(), tmp_path / str(unit))
        found.append(weights(actor))
    assert all(torch.equal(found[1][k], v) for k, v in found[0].items())


def test_actor_moves_no_further_than_its_clipped_gradient_takes_it(
    dataset: Dataset, tmp_path: Path
) -> None:
    """Below the optimiser's own epsilon of 1e-8 a step is as small as its gradient."""
    moved = []
    for clip in (1e-12, 1.0):
        actor = small_actor()
        before = weights(actor)
        spec = policy_spec(max_grad_norm=clip, local_updates=0, alarm_every=0)
        folder = tmp_path / str(clip)
        train_policy(spec, actor, global_model(), local_model(), dataset, Listener(), folder)
        moved.append(max(float((v - before[k]).abs().max()) for k, v in weights(actor).items()))
    assert moved[0] < 1e-5 < moved[1]
