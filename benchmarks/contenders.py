"""The methods that a benchmark compares, each trained in pieces and judged on the way.

fog: the product's policy job. ppo: stable-baselines3's, in the same imagined environment from the
same start frames. rssm_only: the same first-order actor-critic in the local model's own dream.
behaviour_cloning: the logs' actions, from the local model's latent.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Settings
from core.artifacts import Artifacts
from core.baselines.ppo import PPOSpec, PPOTrainer, train_ppo
from core.data.dataset import Dataset
from core.envs.camera import make_judge
from core.evaluation.success import BatchPolicy, LearnedBatch, Outcome, run_episodes
from core.global_model.model import GlobalModel
from core.jobs.spec import PolicySpec
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor, ActorConfig
from core.recorder import NullRecorder
from core.stages.policy import train
from core.stages.setup import device, seed_everything
from core.training.labels import labelled

Point = dict[str, float]
Judge = Callable[[BatchPolicy], Outcome]


class Judging(NullRecorder):
    """Keeps a run's curve in a file, one line a rollout, and judges the policy at some of them.

    Judging time is not counted. A resumed run goes on from its checkpoint's line, with the
    seconds that it had then.
    """

    def __init__(self, curve: Path, policy: BatchPolicy, judge: Judge, at: set[int]) -> None:
        self.curve, self.policy, self.judge, self.at = curve, policy, judge, at
        self.points: list[Point] = []
        if curve.exists():
            self.points = [json.loads(line) for line in whole_lines(curve)]
        self._start_clock()

    def rewind(self, step: int) -> None:
        self.points = [p for p in self.points if p["step"] <= step]
        self.curve.write_text("".join(json.dumps(p) + "\n" for p in self.points))
        self._start_clock()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        if "policy/imagined_frames" not in values:
            return  # a loop may tell more than its rollouts
        last = self.points[-1] if self.points else {"seconds": 0.0, "cpu_seconds": 0.0}
        point: Point = {
            "step": step,
            "frames": values["policy/imagined_frames"],
            "seconds": last["seconds"] + time.monotonic() - self._wall,
            "cpu_seconds": last["cpu_seconds"] + time.process_time() - self._cpu,
        }
        if "policy/imagined_reward" in values:
            point["imagined_reward"] = values["policy/imagined_reward"]
        if step in self.at:
            point |= verdict(self.judge(self.policy))
            shown = {k: round(v, 3) for k, v in point.items()}
            print("  ", " ".join(f"{k} {v:g}" for k, v in shown.items()), flush=True)
        self.points.append(point)
        with self.curve.open("a") as file:
            file.write(json.dumps(point) + "\n")
        self._start_clock()

    def _start_clock(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()


FIGURES = {
    "success": "success",
    "ever": "ever",
    "return": "returns",
    "coverage": "coverage",
    "passed": "passed",
}
"""What a verdict says, and the field of an outcome that it is the mean of."""


def verdict(outcome: Outcome) -> Point:
    """Shares and means of an outcome, of what its task has."""
    found = {name: getattr(outcome, field) for name, field in FIGURES.items()}
    return {name: float(values.mean()) for name, values in found.items() if values is not None}


def whole_lines(path: Path) -> list[str]:
    """Lines of a file that end with a newline: a kill may have cut the last one."""
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def steps_of(settings: Settings) -> int:
    """Rollouts in a row's budget of imagined frames; without a budget the job's own default."""
    ppo = settings["method"] == "ppo"
    spec = PPOSpec(**settings["options"]) if ppo else _policy_spec(settings, {})
    steps, per_rollout = int(spec.steps), int(spec.environments * spec.horizon)
    return steps if settings["frames"] is None else max(1, settings["frames"] // per_rollout)


def train_and_judge(
    artifacts: Artifacts, folder: Path, settings: Settings
) -> tuple[list[Point], Point]:
    """Train one method with one seed; its rollouts, and the verdict on what it ended with.

    Resumes from what lies in `folder`. The last verdict has episodes of its own.
    """
    seed_everything(settings["seed"])
    steps = steps_of(settings)
    at = {round(x) for x in np.linspace(0, steps, settings["points"] + 1)[1:]}
    judge = judge_of(settings, settings["episodes"], 1000)
    folder.mkdir(parents=True, exist_ok=True)

    def watch(policy: BatchPolicy) -> Judging:
        return Judging(folder / "curve.jsonl", policy, judge, at)

    run = _run_ppo if settings["method"] == "ppo" else _run_policy_job
    recorder = run(artifacts, folder, settings, steps, watch)
    final = verdict(judge_of(settings, settings["final_episodes"], 2000)(recorder.policy))
    return recorder.points, final


def judge_of(settings: Settings, episodes: int, first_seed: int) -> Judge:
    """Episodes in the true simulator; each seed has starts of its own, the same for all methods."""

    def judge(policy: BatchPolicy) -> Outcome:
        return run_episodes(
            lambda: make_judge(settings["task"], settings["image_size"]),
            policy,
            episodes,
            first_seed + settings["seed"],
        )

    return judge


def _run_ppo(
    artifacts: Artifacts,
    folder: Path,
    settings: Settings,
    steps: int,
    watch: Callable[[BatchPolicy], Judging],
) -> Judging:
    model, dataset = open_world(artifacts, settings)
    spec = PPOSpec(**settings["options"] | {"steps": steps, "seed": settings["seed"]})
    trainer = PPOTrainer(spec, model, dataset)
    recorder = watch(trainer.policy)
    policy = train_ppo(trainer, recorder, folder / "checkpoints")
    policy.save(_empty(folder / "policy"))
    return recorder


def _run_policy_job(
    artifacts: Artifacts,
    folder: Path,
    settings: Settings,
    steps: int,
    watch: Callable[[BatchPolicy], Judging],
) -> Judging:
    model, dataset = open_world(artifacts, settings)
    local = LocalModel.load(artifacts.existing(artifacts.model(settings["local_model"])))
    local = local.to(device())
    c = local.config
    actor = Actor(ActorConfig(c.deter + c.stoch, c.action_dim)).to(device())
    recorder = watch(LearnedBatch(actor, local))
    spec = _policy_spec(
        settings, {"method": settings["method"], "steps": steps, "seed": settings["seed"]}
    )
    train(spec, actor, model, local, dataset, recorder, folder / "checkpoints")
    actor.save(_empty(folder / "policy"))
    local.save(_empty(folder / "policy" / "local"))
    return recorder


def open_world(artifacts: Artifacts, settings: Settings) -> tuple[GlobalModel, Dataset]:
    """The global model, and the dataset with the rewards that the policy job would use."""
    model = GlobalModel.load(artifacts.existing(artifacts.model(settings["global_model"])))
    dataset = Dataset.open(artifacts.existing(artifacts.dataset(settings["dataset"])))
    model = model.to(device())
    return model, labelled(dataset, model)


def _policy_spec(settings: Settings, changes: Mapping[str, Any]) -> PolicySpec:
    names = ("dataset", "global_model", "local_model")
    ids = {k: settings[k] for k in names}
    return PolicySpec.model_validate(ids | settings["options"] | dict(changes))


def _empty(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
