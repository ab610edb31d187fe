"""How many imagined frames, and how much time, until a policy works in the true simulator?

    python -m benchmarks.sample_efficiency --home .foglab --dataset ds_… --global-model gm_… \\
        --local-model lm_… [--task push_disc] [--methods fog ppo rssm_only behaviour_cloning] \\
        [--seeds 0 1 2] [--frames fog=276480 ppo=2764800] [--episodes 50] [--points 24]
        [--measure passed] [--target 0.5]

Every method trains in the same world models (benchmarks/contenders.py) and is judged at evenly
spaced points of its budget, acting without noise, by `--episodes` episodes of the true simulator,
and what it ended with by `--final-episodes` others.
Training the world models is not counted, nor is judging. Frames are those of the global model; for
rssm_only they are steps of its dream. To the target: the first judged point with at least 60 %
success; sustained: the first of three such points in a row. Seeds that never get there are said, not
left out. Where strict success is out of reach, `--measure passed` counts the episodes of `push_t` that
came within 20 pixels and 20 degrees of the goal. Resumable within a run. Several processes may each
run a part of `--methods` and `--seeds` with the same home; the table is made of every finished row of
the same models, task and judging.
"""

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.contenders import FIGURES, Point, train_and_judge, whole_lines
from benchmarks.harness import (
    Row,
    Settings,
    key_of,
    measure_rows,
    parser,
    publish,
    read_rows,
    work_folder,
)
from benchmarks.learning_curves import MEASURES, METHODS, draw_curves, ratios, summary_of
from benchmarks.machine import Run
from core.artifacts import Artifacts
from core.data.dataset import Dataset
from core.jobs.spec import PolicySpec

NAME = "sample_efficiency"


def main() -> None:
    options = parser(__doc__)
    for name in ("dataset", "global-model", "local-model"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--task", default="push_disc")
    options.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument(
        "--frames", nargs="+", type=budget, default=[], metavar="METHOD=N",
        help="imagined frames of a method; ppo has ten times fog's unless said",
    )  # fmt: skip
    options.add_argument("--episodes", type=int, default=50)
    options.add_argument("--final-episodes", type=int, default=100)
    options.add_argument("--points", type=int, default=24, help="judged points of a run")
    options.add_argument("--measure", choices=MEASURES, default="success")
    options.add_argument("--target", type=float, default=0.6, help="share of the measure to reach")
    options.add_argument(
        "--clone-share", type=float, default=1.0, help="share of best episodes that are cloned"
    )
    options.add_argument(
        "--options", type=json.loads, default={}, metavar="JSON",
        help="for trials: fields of a method's spec, by method",
    )  # fmt: skip
    options.add_argument("--no-training", action="store_true", help="only make the table")
    chosen = options.parse_args()
    if chosen.measure == "passed" and chosen.task != "push_t":
        options.error(f"--measure passed is of push_t; {chosen.task} has success alone")
    artifacts, work = Artifacts(chosen.home), work_folder(chosen.home, NAME)
    common = common_settings(chosen, artifacts)
    grid = [settings_of(chosen, common, m, s) for s in chosen.seeds for m in chosen.methods]
    if not chosen.no_training:
        measure_rows(work, grid, partial(one_run, artifacts, work))
    alike = {k: v for k, v in common.items() if k != "points"}
    rows = [r for r in read_rows(work) if alike.items() <= r.settings.items()]
    if chosen.no_training:
        rows += [r for settings in grid if (r := cut_off(work, settings, rows[-1].run))]
    publish_rows([timed(r, chosen.measure, chosen.target) for r in rows], chosen)


def budget(text: str) -> tuple[str, int]:
    """`ppo=2000000` as a pair."""
    method, _, frames = text.partition("=")
    if method not in METHODS or not frames.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not METHOD=N with a method of {METHODS}")
    return method, int(frames)


def common_settings(chosen: argparse.Namespace, artifacts: Artifacts) -> dict[str, Any]:
    """What all rows of one table share."""
    dataset = Dataset.open(artifacts.existing(artifacts.dataset(chosen.dataset)))
    return {
        "task": chosen.task,
        "dataset": chosen.dataset,
        "global_model": chosen.global_model,
        "local_model": chosen.local_model,
        "image_size": dataset.meta.image_size[0],
        "episodes": chosen.episodes,
        "final_episodes": chosen.final_episodes,
        "points": chosen.points,
    }


def settings_of(
    chosen: argparse.Namespace, common: Settings, method: str, seed: int
) -> dict[str, Any]:
    """What one row measures."""
    default = PolicySpec.model_fields
    per_rollout = default["environments"].default * default["horizon"].default
    fog = dict(chosen.frames).get("fog", default["steps"].default * per_rollout)
    frames = {"fog": fog, "ppo": 10 * fog, "rssm_only": fog, "behaviour_cloning": None}
    cloning = {"clone_share": chosen.clone_share} if method == "behaviour_cloning" else {}
    return {
        **common,
        "method": method,
        "seed": seed,
        "frames": dict(chosen.frames).get(method, frames[method]),
        "options": cloning | chosen.options.get(method, {}),
    }


def cut_off(work: Path, settings: Settings, run: Run) -> Row | None:
    """A run that left a curve and no row, as far as it got; `run` is that of the rows beside it."""
    key = key_of(settings)
    curve = work / key / "curve.jsonl"
    if (work / f"{key}.json").exists() or not curve.exists():
        return None
    rollouts = [json.loads(line) for line in whole_lines(curve)]
    told = {**settings, "final_episodes": settings["episodes"]}
    return Row(told, {"cut_off": True, **judged(rollouts)}, None, run)


def one_run(artifacts: Artifacts, work: Path, settings: Settings) -> dict[str, Any]:
    """Train one method with one seed: its judged points, and the verdict on what it ended with."""
    rollouts, final = train_and_judge(artifacts, work / key_of(settings), settings)
    return {**judged(rollouts), **{f"final_{k}": v for k, v in final.items()}}


def judged(rollouts: list[Point]) -> dict[str, Any]:
    """What the rollouts of a run say; its last judged point stands for the final verdict."""
    points = [p for p in rollouts if "success" in p]
    last = points[-1] if points else {}
    return {
        "rollouts": rollouts[-1]["step"],
        **{f"final_{k}": last[k] for k in FIGURES if k in last},
        **{f"total_{k}": rollouts[-1][k] for k in ("frames", "seconds", "cpu_seconds")},
        "curve": points,
    }


def timed(row: Row, measure: str, target: float) -> Row:
    """The row with when it got to the target."""
    found = {
        name: reached(row["curve"], in_a_row, measure, target)
        for name, in_a_row in (("reached", 1), ("reached_and_stayed", 3))
    }
    return replace(row, values=row.values | found)


def reached(
    points: list[Point], in_a_row: int, measure: str, target: float
) -> dict[str, float] | None:
    """Frames and seconds of the first of `in_a_row` judged points at the target, if any."""
    good = [p[measure] >= target for p in points]
    for i in range(len(points) - in_a_row + 1):
        if all(good[i : i + in_a_row]):
            return {k: points[i][k] for k in ("frames", "seconds", "cpu_seconds")}
    return None


def publish_rows(rows: list[Row], chosen: argparse.Namespace) -> Path:
    """Table and plot of all methods and seeds that are there."""
    order = {name: i for i, name in enumerate(METHODS)}
    rows = sorted(rows, key=lambda r: (order[r["method"]], r["seed"]))
    task, measure, target = chosen.task, chosen.measure, chosen.target
    claim = f"{task}: imagined frames and time until {target:.0%} {MEASURES[measure]}"
    extra = {"measure": measure, "target": target, "compared_with_fog": ratios(rows)}
    draw = partial(draw_curves, rows=rows, measure=measure, target=target)
    gpu = "_cuda" if rows[0].run.machine["gpu"] else ""
    name = f"{NAME}_{task}{gpu}"
    return publish(name, claim, rows, summary_of(rows), draw, chosen.results, extra)


if __name__ == "__main__":
    main()
