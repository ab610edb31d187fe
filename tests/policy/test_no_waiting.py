"""On a GPU the host queues work and must not wait for it. What a CPU can check of that:

no tensor's value is read while a rollout is imagined or learned from (`make test-gpu` has the rest),
and on a device without data, where mixing devices and reading values are errors, all of it runs.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from core.devices import normal
from core.global_model.model import GlobalConfig, GlobalModel
from core.local_model.losses import LossWeights, local_loss
from core.local_model.model import LocalConfig, LocalModel
from core.policy.actor_critic import Actor, ActorConfig, Critics
from core.policy.distillation import Distillation, distillation_loss, imagine_pairs
from core.policy.losses import actor_loss, critic_loss, critic_targets, path_entropy
from core.policy.rollout import ImaginedEnvs, ImaginedRollout, local_path
from core.training.local_model import sum_of
from core.training.replay import Replay

READS = {
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::masked_select",
    "aten::is_nonzero",
    "aten::equal",
    "aten::repeat_interleave.Tensor",
    "aten::_unique2",
}
COUNT, CONTEXT, HORIZON, DIM = 6, 2, 4, 1


class NoReading(TorchDispatchMode):
    """Refuses operations whose result the host must wait for on a GPU."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        name = func.name()
        masks = name.startswith("aten::index") and any(_is_mask(a) for a in args)
        if name in READS or name.rsplit(".", 1)[0] in READS or masks:
            raise AssertionError(f"{name} makes the host wait")
        return func(*args, **(kwargs or {}))


def _is_mask(argument: object) -> bool:
    found = argument if isinstance(argument, list | tuple) else [argument]
    return any(isinstance(x, Tensor) and x.dtype == torch.bool for x in found)


class World:
    """Small models and environments on a device."""

    def __init__(self, device: str, bf16: bool) -> None:
        at = torch.device(device)
        self.generator = torch.Generator().manual_seed(0)
        self.model = GlobalModel(GlobalConfig(16, DIM, CONTEXT, 4, (32, 32), 1, 10.0, 2, bf16=bf16))
        self.model = self.model.eval().to(at)
        sizes = LocalConfig(16, DIM, 1, deter=32, stoch=8, hidden=32, units=32, bf16=bf16)
        self.local = LocalModel(sizes).to(at)
        self.actor = Actor(ActorConfig(40, DIM, hidden=16)).to(at)
        self.critics = Critics(40, 0.0, 1.0).to(at)
        self.replay = Replay(10, at)
        self.envs = ImaginedEnvs(
            frames=torch.zeros(COUNT, CONTEXT, 3, 16, 16, device=at),
            actions=torch.zeros(COUNT, CONTEXT, DIM, device=at),
            deter=torch.zeros(COUNT, 32, device=at),
            stoch=torch.zeros(COUNT, 8, device=at),
            age=torch.zeros(COUNT, dtype=torch.long),
        )

    def rollout(self) -> ImaginedRollout:
        return self.envs.rollout(self.actor, self.model, self.local, HORIZON, self.generator)

    def restart(self) -> None:
        frames = normal((2, CONTEXT + 2, 3, 16, 16), self.generator, self.envs.frames.device)
        actions = normal((2, CONTEXT + 2, DIM), self.generator, self.envs.frames.device)
        self.envs.restart(torch.tensor([1, 4]), frames, actions, self.local, CONTEXT)

    def learn(self) -> None:
        """Every loss of a policy step, with its gradient."""
        rollout, alpha = self.rollout(), self.critics.nets[0][0].weight.new_ones(()).detach()
        self.replay.add(rollout, skip=CONTEXT - 1)
        path = local_path(rollout, self.actor, self.local)
        actor_loss(path, rollout, self.critics, alpha, 0.97, 0.5).backward()
        with torch.no_grad():
            entropy = path_entropy(self.actor, rollout)
        targets = critic_targets(rollout, entropy, self.critics, alpha, 0.97, 0.95)
        critic_loss(self.critics, rollout.features[:, :-1], targets).backward()
        segments = self.replay.sample(4, self.generator)
        sum_of(local_loss(self.local, segments, LossWeights(), self.generator)).backward()
        how = Distillation(steps=2)
        pairs = imagine_pairs(self.model, segments, how, self.generator)
        sum_of(distillation_loss(self.local, pairs, how)).backward()


@pytest.mark.parametrize("part", [World.rollout, World.restart, World.learn])
def test_no_value_is_read(part: Callable[[World], object]) -> None:
    world = World("cpu", bf16=True)
    with NoReading():
        part(world)


@pytest.mark.parametrize("part", [World.rollout, World.restart, World.learn])
def test_everything_happens_on_one_device(part: Callable[[World], object]) -> None:
    """The meta device stands for a GPU: it refuses tensors of the host, and has no values."""
    part(World("meta", bf16=False))


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item(),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: bool((x > 0).any()),
        lambda x: x.masked_select(x > 0),
        lambda x: x.__setitem__(x > 0, x.new_zeros(3)),
    ],
)
def test_the_guard_notices(read: Callable[[Tensor], object]) -> None:
    with NoReading(), pytest.raises(AssertionError, match="makes the host wait"):
        read(torch.ones(3))
