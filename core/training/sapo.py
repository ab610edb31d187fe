"""What learns from a rollout in both policy loops: actor, critics and temperature."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from core.jobs.spec import PolicySpec
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor, Critics, Temperature
from core.policy.losses import (
    actor_loss,
    critic_loss,
    critic_rows,
    critic_targets,
    follow,
    path_entropy,
)
from core.policy.rollout import LocalPath, Trajectory
from core.training.checkpoint import Stateful
from core.training.descent import descend
from core.training.loop import warm_up_then_cosine


class Sapo:
    """First-order actor-critic with a maximum-entropy objective (SAPO, Xing et al. 2025).

    Rewards may be in any unit: entropy, clipping and the critics count in the deviation of the
    rewards that `local` was trained on.
    """

    def __init__(self, spec: PolicySpec, actor: Actor, local: LocalModel) -> None:
        device = next(actor.parameters()).device
        self._spec, self._actor, self._local = spec, actor, local
        self._unit = float(local.reward_std)
        per_return = 1 / (1 - spec.gamma)
        centre, scale = float(local.reward_mean) * per_return, self._unit * per_return
        self._critics = Critics(actor.config.features, centre, scale / 2).to(device)
        self._target = copy.deepcopy(self._critics)
        self._temperature = Temperature(spec.initial_temperature).to(device)
        self._target_entropy = spec.target_entropy * actor.config.action_dim
        self._actor_adam = Adam(actor.parameters(), lr=spec.actor_learning_rate, betas=(0.7, 0.95))
        self._critic_adam = Adam(self._critics.parameters(), lr=spec.critic_learning_rate)
        self._temperature_adam = Adam(self._temperature.parameters(), lr=5e-3)
        shape = warm_up_then_cosine(spec.steps * spec.actor_updates)
        self._schedule = LambdaLR(self._actor_adam, shape)
        self._last: dict[str, Tensor | float] = {}

    @property
    def parts(self) -> dict[str, Stateful]:
        """For the checkpoint."""
        return {
            "actor": self._actor,
            "critics": self._critics,
            "target": self._target,
            "temperature": self._temperature,
            "actor_adam": self._actor_adam,
            "critic_adam": self._critic_adam,
            "temperature_adam": self._temperature_adam,
            "schedule": self._schedule,
        }

    def improve(
        self,
        step: int,
        rollout: Trajectory,
        unroll: Callable[[], LocalPath],
        generator: torch.Generator,
    ) -> None:
        """Actor and temperature, then the critics, from rollout number `step`.

        `unroll` follows the rollout with gradients, under the actor as it is at that moment.
        """
        self._improve_actor(step, rollout, unroll)
        self._improve_critics(rollout, generator)

    def metrics(self) -> dict[str, float]:
        """Of the last rollout; waits for the device."""
        found = {f"policy/{name}": float(value) for name, value in self._last.items()}
        return found | {"policy/temperature": self._temperature.alpha.item()}

    def _improve_actor(
        self, step: int, rollout: Trajectory, unroll: Callable[[], LocalPath]
    ) -> None:
        spec, unit = self._spec, self._unit
        bootstrap = spec.critic_weight * min(1.0, step / max(1, spec.critic_warm_up))
        self._local.requires_grad_(False)
        for _ in range(spec.actor_updates):
            path = unroll()
            alpha = self._temperature.alpha * unit
            loss = actor_loss(path, rollout, self._critics, alpha, spec.gamma, bootstrap) / unit
            norm = descend(loss, self._actor_adam, max_grad_norm=spec.max_grad_norm)
            self._schedule.step()
            cooling = self._temperature.loss(path.entropy, self._target_entropy)
            descend(cooling, self._temperature_adam, max_grad_norm=1.0)
        self._local.requires_grad_(True)
        self._last = {"imagined_reward": rollout.rewards.mean(), "actor_grad_norm": norm}

    def _improve_critics(self, rollout: Trajectory, generator: torch.Generator) -> None:
        spec = self._spec
        with torch.no_grad():
            entropy = path_entropy(self._actor, rollout)
        alpha = self._temperature.alpha * self._unit
        for _ in range(spec.critic_updates):
            rows = critic_rows(rollout, generator)
            seen = rollout.rows(rows)
            targets = critic_targets(seen, entropy[rows], self._target, alpha, spec.gamma, spec.lam)
            loss = critic_loss(self._critics, seen.features[:, :-1], targets)
            descend(loss, self._critic_adam, max_grad_norm=1.0)
            follow(self._target, self._critics, rate=0.05)
        self._last |= {
            "critic_loss": loss.detach(),
            "value": targets.mean(),
            "entropy": entropy.mean(),
        }
