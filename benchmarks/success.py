"""Does a policy trained only in imagination work in the true simulator? Several seeds, intervals.

    python -m benchmarks.success --home .foglab --dataset ds_… --global-model gm_… \\
        --local-model lm_… [--task push_disc] [--seeds 0 1 2] [--episodes 100]

Trains one policy per seed on models that exist (those of `make demo`, say) and judges each in the
true simulator, beside an untrained policy, random actions and the scripted expert. Resumable: an
interrupted training goes on from its checkpoint.
"""

import argparse
import shutil
import time
from pathlib import Path
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
from core.jobs.spec import EvaluateSpec, PolicySpec
from core.recorder import NullRecorder
from core.stages import evaluate, policy

POLICIES = {
    "real": "trained in imagination",
    "untrained": "untrained",
    "random": "random actions",
    "scripted": "scripted expert",
}


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
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--episodes", type=int, default=100)
    chosen = options.parse_args()
    work = work_folder(chosen.home, "success")
    grid = [settings_of(chosen, seed) for seed in chosen.seeds]
    rows = measure_rows(work, grid, lambda settings: one_seed(chosen.home, settings))
    publish_rows(rows, chosen.results)


def settings_of(chosen: argparse.Namespace, seed: int) -> Settings:
    """What one row measures."""
    return {
        "task": chosen.task,
        "dataset": chosen.dataset,
        "global_model": chosen.global_model,
        "local_model": chosen.local_model,
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
    spec = PolicySpec(**named, local_model=settings["local_model"], seed=settings["seed"])
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
    return {
        "policy_seconds": round(seconds, 1),
        "imagined_frames": trained["imagined_frames"],
        **{k: v for k, v in found.items() if k.split("_")[0] in POLICIES},
    }


def publish_rows(rows: list[Row], results: Path) -> Path:
    """The table of all policies; the plot of their success."""
    summary = [one for name in POLICIES for one in summary_of(rows, name)]
    claim = "a policy trained only in imagination succeeds in the true simulator"
    return publish("success", claim, rows, summary, lambda figure: draw(figure, summary), results)


def summary_of(rows: list[Row], name: str) -> Summary:
    """One line for one kind of policy; none where the task has no such policy."""
    if f"{name}_success" not in rows[0].values:
        return []
    figures = {
        "success": share(f"{name}_success", "episodes"),
        "ever": share(f"{name}_ever", "episodes"),
        "return": mean(f"{name}_return"),
    }
    if name == "real":
        figures["policy_seconds"] = mean("policy_seconds")
        figures["imagined_frames"] = mean("imagined_frames")
    lines = summarise(rows, ("task",), figures)
    return [{"policy": POLICIES[name], **line} for line in lines]


def draw(figure: Figure, summary: Summary) -> None:
    """Success of each policy with its interval."""
    axes = figure.subplots()
    places = list(range(len(summary)))
    shares = [100 * line["success"]["mean"] for line in summary]
    intervals = [[100 * v for v in line["success"]["interval"]] for line in summary]
    points(axes, places, shares, intervals)
    axes.set_xticks(places, [line["policy"] for line in summary])
    axes.set_xlim(-0.5, len(summary) - 0.5)
    axes.set_ylim(-3, 103)
    axes.set_ylabel("true success, % (95 % interval)")
    axes.set_title(f"{summary[0]['task']}: {summary[0]['success']['n']} episodes each")


if __name__ == "__main__":
    main()
