"""Does a policy trained only in imagination work in the true simulator? Several seeds, intervals.

    python -m benchmarks.success --home .foglab --dataset ds_… --global-model gm_… \\
        --local-model lm_… [--task push_disc] [--preset demo] [--seeds 0 1 2] [--episodes 100]
        [--cloning] [--label ranking]

Trains one policy per seed on models that exist (those of `make demo`, say) and judges each in the
true simulator, beside an untrained policy, random actions and the task's script: its expert or,
where it has none, the play that made the logs. `--cloning` adds behaviour cloning of the best
fifth of the logs. Resumable: an interrupted training goes on from its checkpoint.

push_t: success is strict (at least 95 % of the goal covered, which ends an episode), `coverage` the
largest of an episode, `passed` the share of episodes that came within 20 pixels and 20 degrees.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure

from benchmarks.harness import (
    Row,
    Settings,
    Summary,
    key_of,
    mean,
    measure_rows,
    parser,
    publish,
    share,
    summarise,
    work_folder,
)
from benchmarks.plots import points
from core.artifacts import Artifacts, StagePaths
from core.envs.camera import make_judge
from core.evaluation.success import LearnedBatch, run_episodes
from core.jobs import presets
from core.jobs.presets import Preset
from core.jobs.spec import EvaluateSpec, Kind, PolicySpec
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor
from core.recorder import NullRecorder
from core.stages import evaluate, policy
from core.stages.setup import device

POLICIES = {
    "real": "trained in imagination",
    "sampled": "the same, actions drawn",
    "untrained": "untrained",
    "random": "random actions",
    "scripted": "script",
    "cloned": "behaviour cloning",
}
CLONING: dict[str, Any] = {"method": "behaviour_cloning", "clone_share": 0.2, "steps": 60}


class Progress(NullRecorder):
    """Says where the training is, once a minute."""

    def __init__(self) -> None:
        self.last = 0.0

    def progress(self, done: int, total: int, message: str = "") -> None:
        if time.monotonic() - self.last > 60:
            self.last = time.monotonic()
            print(f"  {message} {done}/{total}", flush=True)


def main() -> None:
    options = parser(__doc__)
    for name in ("dataset", "global-model", "local-model"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--task", default="push_disc")
    options.add_argument("--preset", type=Preset, choices=[*Preset], default=Preset.DEMO)
    options.add_argument("--options", type=json.loads, default={}, help="fields of the spec, JSON")
    options.add_argument("--cloning", action="store_true")
    options.add_argument("--label", default="", help="for the table's name: its reward, say")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--episodes", type=int, default=100)
    chosen = options.parse_args()
    work = work_folder(chosen.home, "success")
    grid = [settings_of(chosen, seed) for seed in chosen.seeds]
    rows = measure_rows(work, grid, lambda settings: one_seed(chosen.home, settings))
    publish_rows(rows, chosen.results, chosen.label)


def settings_of(chosen: argparse.Namespace, seed: int) -> Settings:
    """What one row measures."""
    return {
        "task": chosen.task,
        "dataset": chosen.dataset,
        "global_model": chosen.global_model,
        "local_model": chosen.local_model,
        "options": {**presets.overrides(chosen.preset, Kind.POLICY), **chosen.options},
        "cloning": chosen.cloning,
        "episodes": chosen.episodes,
        "seed": seed,
    }


def one_seed(home: Path, settings: Settings) -> dict[str, Any]:
    """Train and judge one policy; a row's policy and checkpoints are named by its settings."""
    artifacts, key = Artifacts(home), key_of(settings)
    out = artifacts.model(f"pi_{key}")
    shutil.rmtree(out, ignore_errors=True)  # of an interrupted attempt
    out.mkdir(parents=True)
    run = work_folder(home, "success") / key
    run.mkdir(exist_ok=True)
    named = {k: settings[k] for k in ("dataset", "global_model")}
    fields = {**named, "local_model": settings["local_model"], "seed": settings["seed"]}
    spec = PolicySpec(**fields | settings["options"])
    resumed = any((run / "checkpoints").glob("[0-9]*"))
    started = time.monotonic()
    trained = policy.run(spec, StagePaths(artifacts, run / "checkpoints", out), Progress())
    seconds = time.monotonic() - started
    judged = EvaluateSpec(
        **named,
        policy=out.name,
        task=settings["task"],
        episodes=settings["episodes"],
        seed=1000 + settings["seed"],
    )
    found = evaluate.run(judged, StagePaths(artifacts, run, run), NullRecorder())
    if settings["cloning"]:
        found |= cloned(artifacts, run, PolicySpec(**fields | CLONING), judged)
    return {
        "policy_seconds": None if resumed else round(seconds, 1),
        "alarm": trained.get("alarm"),
        "imagined_frames": trained["imagined_frames"],
        **{k: v for k, v in found.items() if k.split("_")[0] in POLICIES},
    }


def cloned(
    artifacts: Artifacts, run: Path, spec: PolicySpec, judged: EvaluateSpec
) -> dict[str, Any]:
    """A policy that copies the logs, from the same starts as the others."""
    out = run / "cloned"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    policy.run(spec, StagePaths(artifacts, run / "cloning", out), Progress())
    actor, local = Actor.load(out), LocalModel.load(out / "local")
    task, size = str(judged.task), local.config.image_size
    made = LearnedBatch(actor.to(device()), local.to(device()))
    found = run_episodes(lambda: make_judge(task, size), made, judged.episodes, judged.seed)
    return evaluate.figures("cloned", found)


def publish_rows(rows: list[Row], results: Path, label: str = "") -> Path:
    """The table of all policies; the plot of their success."""
    summary = [one for name in POLICIES for one in summary_of(rows, name)]
    claim = "what a policy trained in imagination reaches in the true simulator"
    task = rows[0]["task"]
    file = "_".join(("success", *([] if task == "push_disc" else [task]), *filter(None, [label])))
    return publish(file, claim, rows, summary, lambda figure: draw(figure, summary), results)


def summary_of(rows: list[Row], name: str) -> Summary:
    """One line for one kind of policy; none where the task has no such policy."""
    if f"{name}_success" not in rows[0].values:
        return []
    figures = {
        "success": share(f"{name}_success", "episodes"),
        "ever": share(f"{name}_ever", "episodes"),
        "return": mean(f"{name}_return"),
    }
    if f"{name}_coverage" in rows[0].values:
        figures["coverage"] = over_episodes(f"{name}_coverage")
        figures["passed"] = share(f"{name}_passed", "episodes")
    if name == "real":
        if all(
            row["policy_seconds"] is not None for row in rows
        ):  # an interrupted one is not known
            figures["policy_seconds"] = mean("policy_seconds")
        figures["imagined_frames"] = mean("imagined_frames")
    lines = summarise(rows, ("task",), figures)
    return [{"policy": POLICIES[name], **line} for line in lines]


def over_episodes(name: str) -> Callable[[Sequence[Row]], dict[str, Any]]:
    """Mean over seeds; of a single one, with its interval over episodes."""

    def figure(rows: Sequence[Row]) -> dict[str, Any]:
        found = mean(name)(rows)
        if len(rows) > 1:
            return found
        return {**found, "interval": rows[0][f"{name}_interval"], "n": rows[0]["episodes"]}

    return figure


def draw(figure: Figure, summary: Summary) -> None:
    """Success of each policy with its interval; or its coverage, where success is more than that."""
    what = "coverage" if "coverage" in summary[0] else "success"
    axes = figure.subplots()
    places = list(range(len(summary)))
    shares = [100 * line[what]["mean"] for line in summary]
    intervals = [[100 * v for v in line[what]["interval"]] for line in summary]
    points(axes, places, shares, intervals)
    axes.set_xticks(places, [fill(line["policy"], 14) for line in summary])
    axes.set_xlim(-0.5, len(summary) - 0.5)
    axes.set_ylim(-3, 103)
    named = {"success": "true success", "coverage": "largest coverage of the goal"}
    axes.set_ylabel(f"{named[what]}, % (95 % interval)")
    axes.set_title(f"{summary[0]['task']}: {summary[0]['success']['n']} episodes each")


if __name__ == "__main__":
    main()
