"""The true gradient equals finite differences; its values are the rollout's own."""

import torch
from torch import Tensor
from torch.func import functional_call

from core.baselines.full_gradient import Nudged, discounted_return, full_path
from core.global_model.model import GlobalModel
from core.local_model.model import LocalConfig, LocalModel
from core.policy.actor_critic import Actor, ActorConfig
from core.policy.rollout import ImaginedEnvs, LocalPath, local_path

BATCH, HORIZON, GAMMA = 2, 3, 0.9


def local_model() -> LocalModel:
    torch.manual_seed(1)
    config = LocalConfig(16, 1, 0, deter=16, stoch=4, hidden=16, units=16, bf16=False)
    return LocalModel(config).requires_grad_(False)


def make_actor() -> Actor:
    torch.manual_seed(2)
    actor = Actor(ActorConfig(20, 1, hidden=8))
    torch.nn.init.normal_(actor.net[-1].weight, std=0.3)  # type: ignore[arg-type]
    return actor


def environments() -> ImaginedEnvs:
    torch.manual_seed(3)
    return ImaginedEnvs(
        frames=torch.rand(BATCH, 2, 3, 16, 16) - 0.5,
        actions=torch.rand(BATCH, 2, 1),
        deter=torch.randn(BATCH, 16),
        stoch=torch.randn(BATCH, 4),
        age=torch.zeros(BATCH, dtype=torch.long),
    )


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def gradient(total: Tensor, actor: Actor) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, [*actor.parameters()])])


def test_values_are_the_rollouts_own(model: GlobalModel) -> None:
    actor, local, envs = make_actor(), local_model(), environments()
    path = full_path(envs, actor, model, local, HORIZON, seeded())
    rollout = envs.rollout(actor, model, local, HORIZON, seeded())
    assert torch.allclose(path.rewards, rollout.rewards, atol=1e-5)
    assert torch.allclose(path.last, rollout.features[:, -1], atol=1e-5)


def test_decoupled_path_has_the_same_states_and_another_gradient(model: GlobalModel) -> None:
    actor, local, envs = make_actor(), local_model(), environments()
    full = full_path(envs, actor, model, local, HORIZON, seeded())
    decoupled = local_path(envs.rollout(actor, model, local, HORIZON, seeded()), actor, local)
    assert torch.allclose(full.last, decoupled.last, atol=1e-5)
    assert torch.allclose(full.entropy, decoupled.entropy, atol=1e-5)
    mine = gradient(discounted_return(full, GAMMA), actor)
    theirs = gradient(discounted_return(decoupled, GAMMA), actor)
    assert mine.norm() > 0
    assert theirs.norm() > 0
    assert not torch.allclose(mine, theirs)


def test_gradient_equals_finite_differences(model: GlobalModel) -> None:
    """Without rounding to 8 bits, along a random direction in the actor's weights."""
    world, local, actor = (m.double() for m in (copied(model), local_model(), make_actor()))
    envs = environments()
    for name in ("frames", "actions", "deter", "stoch"):
        setattr(envs, name, getattr(envs, name).double())
    weights = dict(actor.named_parameters())
    direction = {k: torch.randn(v.shape, dtype=v.dtype) for k, v in weights.items()}

    def total(step: float) -> Tensor:
        moved = {k: v + step * direction[k] for k, v in weights.items()}
        path = full_path(
            envs,
            lambda features: functional_call(actor, moved, (features,)),
            world,
            local,
            HORIZON,
            seeded(),
            rounded=False,
        )
        return discounted_return(path, GAMMA)

    gradients = torch.autograd.grad(total(0.0), [*weights.values()])
    exact = sum((g * d).sum() for g, d in zip(gradients, direction.values(), strict=True))
    step = 2e-3  # parts of both models compute in float32 whatever their weights are
    with torch.no_grad():
        finite = (total(step) - total(-step)) / (2 * step)
    assert abs(exact - finite) < 5e-3 * abs(finite)


def test_a_nudge_has_the_gradient_of_its_action(model: GlobalModel) -> None:
    """Also of what the action does to later frames: a last reward depends on the first nudge."""
    actor, local, envs = make_actor(), local_model(), environments()
    nudge = torch.zeros(BATCH, HORIZON, 1, requires_grad=True)
    path = full_path(envs, Nudged(actor, nudge), model, local, HORIZON, seeded())
    plain = full_path(envs, actor, model, local, HORIZON, seeded())
    assert torch.equal(path.rewards, plain.rewards)
    last = LocalPath(path.rewards[:, -1:], path.entropy, path.last)
    (found,) = torch.autograd.grad(discounted_return(last, GAMMA), nudge)
    assert (found != 0).all()


def copied(model: GlobalModel) -> GlobalModel:
    twin = GlobalModel(model.config)
    twin.load_state_dict(model.state_dict())
    return twin.eval().requires_grad_(False)
