"""Loop: the policy, trained in imagination with decoupled first-order gradients."""

import copy
from pathlib import Path
from typing import Any

import torch
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import LambdaLR

from core.data.dataset import Dataset
from core.data.windows import Windows
from core.devices import generator_for
from core.evaluation.trust import Trust
from core.global_model.model import GlobalModel
from core.jobs.spec import PolicySpec
from core.local_model.losses import LossWeights, local_loss
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor, Critics, Temperature
from core.policy.distillation import Distillation, distillation_loss, imagine_pairs
from core.policy.losses import actor_loss, path_entropy
from core.policy.rollout import local_path
from core.recorder import Recorder
from core.training.alarm import Alarm
from core.training.checkpoint import GeneratorState, Stateful
from core.training.critics import improve_critics
from core.training.descent import descend
from core.training.feed import Feed, Waits
from core.training.local_model import sum_of, to_segments
from core.training.loop import resumable_steps, warm_up_then_cosine
from core.training.replay import Replay
from core.training.starts import Starts, first_environments


def train_policy(
    spec: PolicySpec,
    actor: Actor,
    global_model: GlobalModel,
    local: LocalModel,
    dataset: Dataset,
    recorder: Recorder,
    folder: Path,
) -> dict[str, Any]:
    """Each step: imagine with the global model, then improve actor, critics and the local model.

    Returns the number of rollouts and what the alarm has to say, for the job's result.
    """
    device = next(actor.parameters()).device
    generator = generator_for(device, spec.seed)
    unit = float(local.reward_std)  # entropy and clipping count in it, whatever rewards are in
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
    context = global_model.config.context
    waits = Waits()
    starts = Starts(
        Windows(dataset, "train", max(spec.burn_in, context), spec.seed + 1), waits=waits
    )
    windows = Windows(dataset, "train", spec.horizon + 1, spec.seed + 2)
    real = Feed(lambda number: windows.batch(number, spec.local_batch_size), device, waits)
    replay = Replay(spec.replay_segments, device)
    how = Distillation()
    envs = first_environments(spec, starts, global_model, local)
    trust = Trust(dataset, global_model, local, context + spec.horizon, spec.seed + 3)
    alarm = Alarm(spec, trust, {"actor": actor, "local": local})
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
        "replay": replay,
        "envs": envs,
        "alarm": alarm,
        "generator": GeneratorState(generator),
    }
    target_entropy = spec.target_entropy * actor.config.action_dim
    done = spec.steps
    for step in resumable_steps(spec.steps, parts, folder, spec.save_every, recorder):
        old = (envs.age >= spec.max_age).nonzero().squeeze(-1)
        if len(old):
            envs.restart(old, *starts.next(len(old), device), local, context)
        rollout = envs.rollout(actor, global_model, local, spec.horizon, generator)
        if spec.local_updates:
            replay.add(rollout, skip=context - 1)

        bootstrap = spec.critic_weight * min(1.0, step / max(1, spec.critic_warm_up))
        local.requires_grad_(False)
        for _ in range(spec.actor_updates):
            path = local_path(rollout, actor, local)
            alpha = temperature.alpha * unit
            loss = actor_loss(path, rollout, critics, alpha, spec.gamma, bootstrap) / unit
            actor_norm = descend(loss, actor_adam, max_grad_norm=0.5)
            schedule.step()
            descend(temperature.loss(path.entropy, target_entropy), temperature_adam, 1.0)
        local.requires_grad_(True)

        with torch.no_grad():
            entropy = path_entropy(actor, rollout)
        alpha = temperature.alpha * unit
        value_loss, targets = improve_critics(
            spec, critics, target, critic_adam, rollout, entropy, alpha, generator
        )

        for i in range(spec.local_updates):
            logged = to_segments(real.batch(step * spec.local_updates + i))
            parts_real = local_loss(local, logged, LossWeights(), generator)
            segments = replay.sample(spec.local_batch_size, generator)
            parts_imagined = local_loss(local, segments, LossWeights(), generator)
            loss_local = sum_of(parts_real) + sum_of(parts_imagined)
            if spec.distillation_every and i == 0 and step % spec.distillation_every == 0:
                some = replay.sample(spec.distillation_pairs, generator)
                some = some.window(generator, spec.burn_in + how.steps - 1)
                pairs = imagine_pairs(global_model, some, how, generator)
                loss_local = loss_local + sum_of(distillation_loss(local, pairs, how))
            descend(loss_local, local_adam, max_grad_norm=100.0)

        if (step + 1) % spec.log_every == 0:
            recorder.scalars(
                step + 1,
                {
                    "policy/imagined_reward": rollout.rewards.mean().item(),
                    "policy/actor_grad_norm": actor_norm,
                    "policy/critic_loss": value_loss.item(),
                    "policy/value": targets.mean().item(),
                    "policy/entropy": entropy.mean().item(),
                    "policy/temperature": temperature.alpha.item(),
                    "policy/imagined_frames": (step + 1) * spec.environments * spec.horizon,
                    **waits.metric(),
                },
            )
            recorder.progress(step + 1, spec.steps, "policy")
        if alarm.check(step + 1, rollout, recorder):
            done = step + 1
            break
    return {"rollouts": done, **alarm.end()}
