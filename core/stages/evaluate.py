"""Stage: how good are the models and the policy? Every figure with its interval."""

import json
from typing import Any

import numpy as np
import torch

from core.artifacts import StagePaths
from core.data.dataset import Dataset
from core.data.windows import Windows
from core.envs import TASKS
from core.envs.camera import make_judge
from core.envs.policies import RandomPolicy
from core.evaluation.calibration import calibration
from core.evaluation.fidelity import Fidelity, fidelity
from core.evaluation.gradients import (
    collect_situations,
    cosines,
    local_gradients,
    true_gradients,
)
from core.evaluation.imagination import imagine_policy
from core.evaluation.rewards import reward_report
from core.evaluation.sensitivity import action_sensitivity
from core.evaluation.success import (
    BatchPolicy,
    LearnedBatch,
    Outcome,
    ScriptedBatch,
    mean_interval,
    run_episodes,
    share_interval,
    start_seeds,
)
from core.global_model.model import GlobalModel, to_float
from core.jobs.spec import EvaluateSpec
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor
from core.recorder import Recorder
from core.stages.setup import device, open_dataset, open_model, seed_everything

IMAGINED_STEPS = 36
MATCHED_STEPS = 36
"""Steps of the policy in imagination and in the simulator whose returns are compared."""
SITUATIONS = 200
ACTION_STEPS, ACTION_WINDOWS = 10, 64
"""Imagined steps and held-out windows that say whether actions matter to the model."""
FINITE_STEP = 0.2
"""Half the distance of the finite differences, in units of the action."""


def run(spec: EvaluateSpec, paths: StagePaths, recorder: Recorder) -> dict[str, Any]:
    """Fidelity, gradient cosine, imagined return, true return and success."""
    seed_everything(spec.seed)
    dataset = open_dataset(spec, paths)
    model = open_model(GlobalModel, spec.global_model, paths).to(device())
    result = _fidelity(spec, dataset, model) | reward_report(model.reward, dataset, spec.seed)
    recorder.raise_if_cancelled()
    result |= _actions(spec, dataset, model)
    recorder.progress(1, 4, "fidelity")
    if spec.local_model is not None and spec.task is not None:
        local = open_model(LocalModel, spec.local_model, paths).to(device())
        result |= _gradients(spec, local)
    recorder.progress(2, 4, "gradients")
    recorder.raise_if_cancelled()
    if spec.policy is not None:
        folder = paths.artifacts.existing(paths.artifacts.model(spec.policy))
        actor = Actor.load(folder).to(device())
        local = LocalModel.load(folder / "local").to(device())
        result |= _imagined(spec, dataset, model, local, actor)
        recorder.progress(3, 4, "imagined return")
        if spec.task is not None:
            result |= _true(spec, spec.task, local, actor, recorder)
            result |= _matched(spec, spec.task, model, local, actor)
    recorder.progress(4, 4, "done")
    (paths.out / "evaluation.json").write_text(json.dumps(result, indent=1))
    return result


def _fidelity(spec: EvaluateSpec, dataset: Dataset, model: GlobalModel) -> dict[str, Any]:
    longest = max(e.length for e in dataset.validation) - model.config.context
    horizon = min(spec.horizon, longest)
    windows = Windows(dataset, "validation", model.config.context + horizon)
    found = fidelity(model, windows, count=128, seed=spec.seed)
    imagined, static = found.imagined.tolist(), found.static.tolist()
    shown = [n for n in (1, 5, 10, 20) if n <= horizon]
    return {
        **{f"psnr_{n}": imagined[n - 1] for n in shown},
        **{f"static_psnr_{n}": static[n - 1] for n in shown},
        "psnr": imagined,
        "static_psnr": static,
        "reward_correlation": found.reward_correlation,
        **_calibration(model, found),
    }


def _calibration(model: GlobalModel, found: Fidelity) -> dict[str, Any]:
    """Of rewards in the units of the logs; other rewards can be compared in rank alone."""
    if found.logged_rewards is None or model.config.reward != "logged":
        return {}
    told = calibration(
        found.imagined_rewards.double().numpy(), found.logged_rewards.double().numpy()
    )
    bins = {
        "imagined": told.imagined.tolist(),
        "logged": told.logged.tolist(),
        "counts": told.counts.tolist(),
    }
    return {"reward_calibration_error": told.error, "reward_calibration": bins}


def _actions(spec: EvaluateSpec, dataset: Dataset, model: GlobalModel) -> dict[str, Any]:
    longest = max(e.length for e in dataset.validation) - model.config.context
    horizon = min(spec.horizon, longest, ACTION_STEPS)
    found = action_sensitivity(model, dataset, horizon, ACTION_WINDOWS, spec.seed)
    return {
        "action_gain": float(found.gain[-1]),
        "action_gain_interval": [float(bound) for bound in found.interval[-1]],
        "action_gain_steps": horizon,
        "action_gain_by_step": found.gain.tolist(),
        "shuffled_psnr": found.shuffled.tolist(),
    }


def _gradients(spec: EvaluateSpec, local: LocalModel) -> dict[str, Any]:
    """Cosine on states of play that was never logged."""
    assert spec.task is not None
    env = make_judge(spec.task, local.config.image_size)
    play = TASKS[spec.task].play()
    situations = collect_situations(env, play, SITUATIONS, burn_in=6, seed=10**6 + spec.seed)
    result: dict[str, Any] = {}
    for horizon, suffix in ((1, ""), (3, "_3")):
        truth = torch.from_numpy(true_gradients(env, situations, horizon, FINITE_STEP))
        values = cosines(local_gradients(local, situations, horizon).double().cpu(), truth).numpy()
        result |= {
            f"gradient_cosine{suffix}": float(values.mean()),
            f"gradient_cosine{suffix}_interval": mean_interval(values),
            f"gradient_positive{suffix}": float((values > 0).mean()),
        }
    env.close()
    return result


def _imagined(
    spec: EvaluateSpec, dataset: Dataset, model: GlobalModel, local: LocalModel, actor: Actor
) -> dict[str, Any]:
    burn_in = max(6, model.config.context)
    batch = Windows(dataset, "validation", burn_in).batch(spec.seed, 128)
    frames = to_float(torch.from_numpy(batch["frames"]).to(device()))
    actions = torch.from_numpy(batch["actions"]).to(device())
    generator = torch.Generator().manual_seed(spec.seed)
    rewards = imagine_policy(actor, model, local, frames, actions, IMAGINED_STEPS, generator)[1]
    returns = rewards.sum(1).double().cpu().numpy()
    return {
        "imagined_return": float(returns.mean()),
        "imagined_return_interval": mean_interval(returns),
        "imagined_steps": IMAGINED_STEPS,
    }


def _true(
    spec: EvaluateSpec, task: str, local: LocalModel, actor: Actor, recorder: Recorder
) -> dict[str, Any]:
    """The policy beside an untrained one, random actions and a script, same starts.

    `sampled` is the policy with actions that are drawn, `real` with the likeliest ones. The script
    is the task's expert, or the play that makes logs where there is none.
    """
    untrained = Actor(actor.config).to(device())
    policies: dict[str, BatchPolicy] = {
        "real": LearnedBatch(actor, local),
        "sampled": LearnedBatch(actor, local, sample=True),
        "untrained": LearnedBatch(untrained, local),
        "random": ScriptedBatch(RandomPolicy),
    }
    policies["scripted"] = ScriptedBatch(TASKS[task].expert or TASKS[task].play)
    result: dict[str, Any] = {"episodes": spec.episodes}
    for name, policy in policies.items():
        recorder.raise_if_cancelled()
        found = run_episodes(
            lambda: make_judge(task, local.config.image_size), policy, spec.episodes, spec.seed
        )
        result |= figures(name, found)
    return result


def figures(name: str, found: Outcome) -> dict[str, Any]:
    """What an outcome says of the policy `name`, with intervals."""
    episodes = len(found.returns)
    result: dict[str, Any] = {
        f"{name}_success": float(found.success.mean()),
        f"{name}_success_interval": share_interval(int(found.success.sum()), episodes),
        f"{name}_ever": float(found.ever.mean()),
        f"{name}_return": float(found.returns.mean()),
        f"{name}_return_interval": mean_interval(found.returns),
    }
    if found.coverage is not None:
        result[f"{name}_coverage"] = float(found.coverage.mean())
        result[f"{name}_coverage_interval"] = mean_interval(found.coverage)
    if found.passed is not None:
        result[f"{name}_passed"] = float(found.passed.mean())
        result[f"{name}_passed_interval"] = share_interval(int(found.passed.sum()), episodes)
    return result


def _matched(
    spec: EvaluateSpec, task: str, model: GlobalModel, local: LocalModel, actor: Actor
) -> dict[str, Any]:
    """The policy's first steps in both worlds, from the same first frames."""
    env = make_judge(task, local.config.image_size)
    first = [env.reset(seed=s)[0]["pixels"] for s in start_seeds(spec.episodes, spec.seed)]
    env.close()
    frames = to_float(torch.from_numpy(np.stack(first)).to(device()))[:, None]
    still = frames.expand(-1, model.config.context, -1, -1, -1)
    idle = torch.zeros(*still.shape[:2], local.config.action_dim, device=device())
    generator = torch.Generator().manual_seed(spec.seed)
    found = imagine_policy(actor, model, local, still, idle, MATCHED_STEPS, generator)
    ended = (found.terminated > 0.5).cumsum(1) - (found.terminated > 0.5).int()
    imagined = (found.rewards * (ended == 0)).sum(1).double().cpu().numpy()
    true = run_episodes(
        lambda: make_judge(task, local.config.image_size),
        LearnedBatch(actor, local),
        spec.episodes,
        spec.seed,
        max_steps=MATCHED_STEPS,
    ).returns
    return {
        "matched_steps": MATCHED_STEPS,
        "matched_imagined_return": float(imagined.mean()),
        "matched_imagined_return_interval": mean_interval(imagined),
        "matched_true_return": float(true.mean()),
        "matched_true_return_interval": mean_interval(true),
        "matched_gap": float((imagined - true).mean()),
        "matched_gap_interval": mean_interval(imagined - true),
    }
