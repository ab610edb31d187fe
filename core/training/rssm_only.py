"""Loop: the same first-order actor-critic in the local model's own dream, without diffusion."""

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch.optim import AdamW

from core.data.dataset import Dataset
from core.data.windows import Windows
from core.devices import generator_for, normal
from core.jobs.spec import PolicySpec
from core.local_model.losses import LossWeights, local_loss
from core.local_model.model import LocalModel
from core.local_model.rssm import State
from core.policy.actor_critic import Actor
from core.policy.dream import dream, dream_path
from core.policy.rollout import Trajectory
from core.recorder import Recorder
from core.training.checkpoint import GeneratorState, Stateful
from core.training.descent import descend
from core.training.feed import Feed, Waits
from core.training.local_model import sum_of, to_segments
from core.training.loop import resumable_steps
from core.training.sapo import Sapo
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
    sapo = Sapo(spec, actor, local)
    local_adam = AdamW(local.parameters(), lr=spec.local_learning_rate, weight_decay=1e-3)
    waits = Waits()
    starts = Starts(Windows(dataset, "train", spec.burn_in, spec.seed + 1), waits=waits)
    windows = Windows(dataset, "train", spec.horizon + 1, spec.seed + 2)
    real = Feed(lambda number: windows.batch(number, spec.local_batch_size), device, waits)
    dreams = Dreams.begin(spec, starts, local)
    parts: dict[str, Stateful] = {
        **sapo.parts,
        "local": local,
        "local_adam": local_adam,
        "starts": starts,
        "dreams": dreams,
        "generator": GeneratorState(generator),
    }
    for step in resumable_steps(spec.steps, parts, folder, spec.save_every, recorder):
        old = (dreams.age >= spec.max_age).nonzero().squeeze(-1)
        if len(old):
            dreams.restart(old, starts, local)
        shape = (spec.environments, spec.horizon, actor.config.action_dim)
        noise = normal(shape, generator, device)
        start = dreams.state
        dreamed = dream(start, noise, actor, local)
        dreams.follow(dreamed)

        again = partial(dream_path, start, noise, actor, local)
        sapo.improve(step, dreamed, again, generator)

        for i in range(spec.local_updates):
            segments = to_segments(real.batch(step * spec.local_updates + i))
            losses = local_loss(local, segments, LossWeights(), generator)
            descend(sum_of(losses), local_adam, max_grad_norm=100.0)

        if (step + 1) % spec.log_every == 0:
            recorder.scalars(
                step + 1,
                {
                    **sapo.metrics(),
                    "policy/imagined_frames": (step + 1) * spec.environments * spec.horizon,
                    **waits.metric(),
                },
            )
            recorder.progress(step + 1, spec.steps, "policy without diffusion")
