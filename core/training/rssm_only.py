"""Loop: the same first-order actor-critic in the local model's own dream, without diffusion."""

import copy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import torch
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import LambdaLR

from core.data.dataset import Dataset
from core.data.windows import Windows
from core.devices import generator_for, normal
from core.jobs.spec import PolicySpec
from core.local_model.losses import LossWeights, local_loss
from core.local_model.model import LocalModel
from core.local_model.rssm import State
from core.policy.actor_critic import Actor, Critics, Temperature
from core.policy.dream import dream, dream_path
from core.policy.losses import actor_loss, path_entropy
from core.policy.rollout import Trajectory
from core.recorder import Recorder
from core.training.checkpoint import GeneratorState, Stateful
from core.training.critics import improve_critics
from core.training.descent import descend
from core.training.feed import Feed, Waits
from core.training.local_model import sum_of, to_segments
from core.training.loop import resumable_steps, warm_up_then_cosine
from core.training.starts import Starts


@dataclass
class Dreams:
    """A batch of dreams: where each stands in the local model."""

    deter: torch.Tensor
    stoch: torch.Tensor
    age: torch.Tensor
    """Dreamed steps since the last real frame, (batch,)."""

    @classmethod
    def begin(cls, spec: PolicySpec, starts: Starts, local: LocalModel) -> Self:
        """All at real frames, their ages spread so that they do not restart together."""
        count, device = spec.environments, next(local.parameters()).device
        state = local.rssm.initial(count, device)
        dreams = cls(state.deter, state.stoch, torch.zeros(count, dtype=torch.long, device=device))
        dreams.restart(torch.arange(count, device=device), starts, local)
        rounds = max(1, spec.max_age // spec.horizon)
        dreams.age = (torch.arange(count, device=device) % rounds) * spec.horizon
        return dreams

    @property
    def state(self) -> State:
        return State(self.deter, self.stoch)

    @torch.no_grad()
    def restart(self, which: torch.Tensor, starts: Starts, local: LocalModel) -> None:
        """Filter real frames anew for the dreams at these indices."""
        frames, actions = starts.next(len(which), self.deter.device)
        self.deter[which], self.stoch[which] = local.burn_in(frames, actions)
        self.age[which] = 0

    def follow(self, trajectory: Trajectory) -> None:
        """Go on from the trajectory's last state."""
        self.deter, self.stoch = trajectory.deter[:, -1].clone(), trajectory.stoch[:, -1].clone()
        self.age = self.age + trajectory.rewards.shape[1]

    def state_dict(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value.to(getattr(self, name).device))


def train_rssm_only(
    spec: PolicySpec,
    actor: Actor,
    local: LocalModel,
    dataset: Dataset,
    recorder: Recorder,
    folder: Path,
) -> None:
    """Each step: dream with the local model, then improve actor, critics and the local model.

    `train_policy` with one difference: states and rewards are the local model's own predictions,
    and it goes on learning from real segments alone. Each actor step dreams anew from the same
    states with the same noise, for a dream costs no diffusion.
    """
    device = next(actor.parameters()).device
    generator = generator_for(device, spec.seed)
    unit = float(local.reward_std)
    per_return = 1 / (1 - spec.gamma)
    centre, scale = float(local.reward_mean) * per_return, float(local.reward_std) * per_return
    critics = Critics(actor.config.features, centre, scale / 2).to(device)
    target = copy.deepcopy(critics)
    temperature = Temperature(spec.initial_temperature).to(device)
    actor_adam = Adam(actor.parameters(), lr=spec.actor_learning_rate, betas=(0.7, 0.95))
    critic_adam = Adam(critics.parameters(), lr=spec.critic_learning_rate)
    local_adam = AdamW(local.parameters(), lr=spec.local_learning_rate, weight_decay=1e-3)
    temperature_adam = Adam(temperature.parameters(), lr=5e-3)
    schedule = LambdaLR(actor_adam, warm_up_then_cosine(spec.steps * spec.actor_updates))
    waits = Waits()
    starts = Starts(Windows(dataset, "train", spec.burn_in, spec.seed + 1), waits=waits)
    windows = Windows(dataset, "train", spec.horizon + 1, spec.seed + 2)
    real = Feed(lambda number: windows.batch(number, spec.local_batch_size), device, waits)
    dreams = Dreams.begin(spec, starts, local)
    parts: dict[str, Stateful] = {
        "actor": actor,
        "critics": critics,
        "target": target,
        "temperature": temperature,
        "local": local,
        "actor_adam": actor_adam,
        "critic_adam": critic_adam,
        "local_adam": local_adam,
        "temperature_adam": temperature_adam,
        "schedule": schedule,
        "starts": starts,
        "dreams": dreams,
        "generator": GeneratorState(generator),
    }
    target_entropy = spec.target_entropy * actor.config.action_dim
    for step in resumable_steps(spec.steps, parts, folder, spec.save_every, recorder):
        old = (dreams.age >= spec.max_age).nonzero().squeeze(-1)
        if len(old):
            dreams.restart(old, starts, local)
        shape = (spec.environments, spec.horizon, actor.config.action_dim)
        noise = normal(shape, generator, device)
        start = dreams.state
        dreamed = dream(start, noise, actor, local)
        dreams.follow(dreamed)

        bootstrap = spec.critic_weight * min(1.0, step / max(1, spec.critic_warm_up))
        local.requires_grad_(False)
        for _ in range(spec.actor_updates):
            path, _ = dream_path(start, noise, actor, local)
            alpha = temperature.alpha * unit
            loss = actor_loss(path, dreamed, critics, alpha, spec.gamma, bootstrap) / unit
            actor_norm = descend(loss, actor_adam, max_grad_norm=0.5)
            schedule.step()
            descend(temperature.loss(path.entropy, target_entropy), temperature_adam, 1.0)
        local.requires_grad_(True)

        with torch.no_grad():
            entropy = path_entropy(actor, dreamed)
        alpha = temperature.alpha * unit
        value_loss, targets = improve_critics(
            spec, critics, target, critic_adam, dreamed, entropy, alpha, generator
        )

        for i in range(spec.local_updates):
            segments = to_segments(real.batch(step * spec.local_updates + i))
            losses = local_loss(local, segments, LossWeights(), generator)
            descend(sum_of(losses), local_adam, max_grad_norm=100.0)

        if (step + 1) % spec.log_every == 0:
            recorder.scalars(
                step + 1,
                {
                    "policy/imagined_reward": dreamed.rewards.mean().item(),
                    "policy/actor_grad_norm": actor_norm,
                    "policy/critic_loss": value_loss.item(),
                    "policy/value": targets.mean().item(),
                    "policy/entropy": entropy.mean().item(),
                    "policy/temperature": temperature.alpha.item(),
                    "policy/imagined_frames": (step + 1) * spec.environments * spec.horizon,
                    **waits.metric(),
                },
            )
            recorder.progress(step + 1, spec.steps, "policy without diffusion")
