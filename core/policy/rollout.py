"""Imagined rollouts: trajectories from the global model, gradients through the local one."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from core.devices import casts_kept, normal, upload
from core.global_model.model import GlobalModel
from core.local_model.model import LocalModel
from core.local_model.rssm import State
from core.policy.actor_critic import Actor, Squashed
from core.policy.gradient import swap_gradient

Policy = Callable[[Tensor], Squashed]
"""Features to a distribution of actions: an `Actor`, or one that is watched."""


@dataclass(frozen=True)
class Trajectory:
    """What the local model made of a number of steps under the policy."""

    deter: Float[Tensor, "batch horizon_plus_1 deter"]
    stoch: Float[Tensor, "batch horizon_plus_1 stoch"]
    noise: Float[Tensor, "batch horizon dim"]
    rewards: Float[Tensor, "batch horizon"]
    """Labels that the critic learns from."""
    continues: Float[Tensor, "batch horizon"]

    @property
    def features(self) -> Float[Tensor, "batch horizon_plus_1 features"]:
        return torch.cat([self.deter, self.stoch], -1)

    def rows(self, which: Tensor | slice) -> "Trajectory":
        """The same steps of some of the environments."""
        names = (f.name for f in fields(Trajectory))
        return Trajectory(**{name: getattr(self, name)[which] for name in names})


@dataclass(frozen=True)
class ImaginedRollout(Trajectory):
    """What the global model made of the policy's actions, and how the local model saw it."""

    frames: Float[Tensor, "batch span 3 height width"]
    """Context and imagined frames, span = context + horizon."""
    past_actions: Float[Tensor, "batch span dim"]
    """The action taken at each of `frames`; the last row is zero."""
    past_rewards: Float[Tensor, "batch span"]
    """Reward earned by it; zero in the context, where `Segments` are cut off."""


@dataclass(frozen=True)
class LocalPath:
    """The same rollout with gradients: values observed, derivatives predicted."""

    rewards: Float[Tensor, "batch horizon"]
    entropy: Float[Tensor, "batch horizon"]
    last: Float[Tensor, "batch features"]


def local_path(rollout: Trajectory, actor: Policy, local: LocalModel) -> LocalPath:
    """Act again along a stored rollout; every state has the stored value and a local gradient.

    The actor may have moved since the rollout was made: its new actions enter the derivative,
    the states stay those of the global model (paper, §III-B: the Jacobian belongs at the global
    model's next state).
    """
    states, policies = [State(rollout.deter[:, 0], rollout.stoch[:, 0])], []
    for t in range(rollout.noise.shape[1]):
        policies.append(actor(states[-1].features))
        predicted = local.rssm.imagine(states[-1], policies[-1].action(rollout.noise[:, t]))
        states.append(
            State(
                swap_gradient(rollout.deter[:, t + 1], predicted.deter),
                swap_gradient(rollout.stoch[:, t + 1], predicted.stoch),
            )
        )
    # heads over all steps at once: fewer, larger products
    after = State(*(torch.stack(part, 1) for part in zip(*states[1:], strict=True)))
    policy = Squashed(*(torch.stack(part, 1) for part in zip(*policies, strict=True)))
    return LocalPath(local.reward(after), policy.entropy(rollout.noise), states[-1].features)


@dataclass
class ImaginedEnvs:
    """A batch of imagined environments: where each stands in the global model."""

    frames: Tensor
    """(batch, context, 3, H, W): the last frames."""
    actions: Tensor
    """(batch, context, dim): the action taken at each; the last is yet to be chosen."""
    deter: Tensor
    stoch: Tensor
    age: Tensor
    """Imagined steps since the last real frame, (batch,); on the host, which decides by it."""

    def state_dict(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value.to(getattr(self, name).device))

    @torch.no_grad()
    def restart(
        self, which: Tensor, frames: Tensor, actions: Tensor, local: LocalModel, context: int
    ) -> None:
        """Start the environments at indices `which` from real frames (n, burn_in, 3, H, W)."""
        state = local.burn_in(frames, actions)
        places = upload(which.numpy(), self.frames.device)
        self.frames[places], self.actions[places] = frames[:, -context:], actions[:, -context:]
        self.deter[places], self.stoch[places] = state
        self.age[which] = 0

    @torch.no_grad()
    def rollout(
        self,
        actor: Actor,
        model: GlobalModel,
        local: LocalModel,
        horizon: int,
        generator: torch.Generator,
    ) -> ImaginedRollout:
        """Step all environments `horizon` times under the actor."""
        shape = (len(self.frames), horizon, self.actions.shape[-1])
        noise = normal(shape, generator, self.frames.device)
        frames, actions = [*self.frames.unbind(1)], [*self.actions[:, :-1].unbind(1)]
        rewards, continues, deters, stochs = [], [], [self.deter], [self.stoch]
        state, context = State(self.deter, self.stoch), self.frames.shape[1]
        with casts_kept(noise.device, model.config.bf16):
            for t in range(horizon):
                actions.append(actor(state.features).action(noise[:, t]))
                past, taken = torch.stack(frames[-context:], 1), torch.stack(actions[-context:], 1)
                step = model.step(past, taken, generator)
                state = local.rssm.observe(state, actions[-1], local.encode(step.frame))
                frames.append(step.frame)
                rewards.append(step.reward)
                continues.append(1 - step.terminated.round())
                deters.append(state.deter)
                stochs.append(state.stoch)
        self.frames = torch.stack(frames[-context:], 1)
        self.deter, self.stoch = state
        actions.append(torch.zeros_like(actions[-1]))
        self.actions = torch.stack(actions[-context:], 1)
        self.age = self.age + horizon
        return ImaginedRollout(
            frames=torch.stack(frames, 1),
            past_actions=torch.stack(actions, 1),
            past_rewards=torch.stack(
                [torch.zeros_like(rewards[0])] * (context - 1)
                + [*rewards, torch.zeros_like(rewards[0])],
                1,
            ),
            deter=torch.stack(deters, 1),
            stoch=torch.stack(stochs, 1),
            noise=noise,
            rewards=torch.stack(rewards, 1),
            continues=torch.stack(continues, 1),
        )
