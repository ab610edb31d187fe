"""Loop: the policy, trained in imagination with decoupled first-order gradients."""

from functools import partial
from pathlib import Path
from typing import Any

from torch.optim import AdamW

from core.data.dataset import Dataset
from core.data.windows import Windows
from core.devices import generator_for
from core.evaluation.trust import Trust
from core.global_model.model import GlobalModel
from core.jobs.spec import PolicySpec
from core.local_model.losses import LossWeights, local_loss
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor
from core.policy.distillation import Distillation, distillation_loss, imagine_pairs
from core.policy.rollout import local_path
from core.recorder import Recorder
from core.training.alarm import Alarm
from core.training.checkpoint import GeneratorState, Stateful
from core.training.descent import descend
from core.training.feed import Feed, Waits
from core.training.local_model import sum_of, to_segments
from core.training.loop import resumable_steps
from core.training.replay import Replay
from core.training.sapo import Sapo
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
    sapo = Sapo(spec, actor, local)
    local_adam = AdamW(local.parameters(), lr=spec.local_learning_rate, weight_decay=1e-3)
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
        **sapo.parts,
        "local": local,
        "local_adam": local_adam,
        "starts": starts,
        "replay": replay,
        "envs": envs,
        "alarm": alarm,
        "generator": GeneratorState(generator),
    }
    done = spec.steps
    for step in resumable_steps(spec.steps, parts, folder, spec.save_every, recorder):
        old = (envs.age >= spec.max_age).nonzero().squeeze(-1)
        if len(old):
            envs.restart(old, *starts.next(len(old), device), local, context)
        rollout = envs.rollout(actor, global_model, local, spec.horizon, generator)
        if spec.local_updates:
            replay.add(rollout, skip=context - 1)

        sapo.improve(step, rollout, partial(local_path, rollout, actor, local), generator)

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
                    **sapo.metrics(),
                    "policy/imagined_frames": (step + 1) * spec.environments * spec.horizon,
                    **waits.metric(),
                },
            )
            recorder.progress(step + 1, spec.steps, "policy")
        if alarm.check(step + 1, rollout, recorder):
            done = step + 1
            break
    return {"rollouts": done, **alarm.end()}
