"""Does imagination tell good policies from bad ones? Imagined against true return, many policies.

    python -m benchmarks.imagination_vs_reality --home .foglab --dataset ds_… \\
        --global-model gm_… --local-model lm_… [--horizon 40] [--seeds 0] [--steps 240]

For each seed 26 policies of mixed quality are made: trained in imagination, in the local model's
dream and by cloning, kept at several moments, some with noise on their weights, and untrained ones.
Each plays `--horizon` steps in the global model, from the first frames of held-out episodes, and as
many in the true simulator, from its own starts; the returns of both are compared over policies.
Needs a dataset of a task with a simulator.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.harness import (
    Row,
    Settings,
    Summary,
    key_of,
    measure_rows,
    parser,
    publish,
    work_folder,
)
from benchmarks.plots import COLOURS, GREY
from benchmarks.policy_mix import TRAINED, Candidate, kept, train_and_keep, untrained
from core.artifacts import Artifacts
from core.data.dataset import Dataset
from core.envs import TASKS
from core.envs.camera import make_judge
from core.evaluation.imagination import imagine_policy
from core.evaluation.statistics import bootstrap_interval, pearson, spearman
from core.evaluation.success import LearnedBatch, mean_interval, run_episodes
from core.global_model.model import GlobalModel, to_float
from core.jobs.spec import PolicySpec
from core.local_model.model import LocalModel
from core.stages.setup import device

NAME = "imagination_vs_reality"


def main() -> None:
    options = parser(__doc__)
    for name in ("dataset", "global-model", "local-model"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--steps", type=int, default=240, help="of each policy training")
    options.add_argument("--environments", type=int, default=72, help="imagined, in training")
    options.add_argument("--horizon", type=int, default=40, help="steps that both returns count")
    options.add_argument("--episodes", type=int, default=100, help="in each of the two worlds")
    chosen = options.parse_args()
    artifacts = Artifacts(chosen.home)
    dataset = Dataset.open(artifacts.existing(artifacts.dataset(chosen.dataset)))
    if dataset.meta.task not in TASKS:
        raise SystemExit(
            f"dataset {chosen.dataset} is of no task with a simulator; there are {', '.join(TASKS)}"
        )
    rows = [row for seed in chosen.seeds for row in one_seed(chosen, dataset, seed)]
    publish_rows(rows, chosen.results)


def one_seed(chosen: argparse.Namespace, dataset: Dataset, seed: int) -> list[Row]:
    """Train, then measure every policy."""
    artifacts = Artifacts(chosen.home)
    ids = {k: getattr(chosen, k) for k in ("dataset", "global_model", "local_model")}
    training = {**ids, "steps": chosen.steps, "environments": chosen.environments, "seed": seed}
    policies = work_folder(chosen.home, f"{NAME}_policies")

    def folder(settings: Settings) -> Path:
        return policies / key_of(settings)

    def train(settings: Settings) -> dict[str, Any]:
        fields = {k: v for k, v in settings.items() if k != "kind"}
        spec = PolicySpec.model_validate(fields | TRAINED[settings["kind"]])
        train_and_keep(artifacts, settings["kind"], spec, folder(settings))
        return {}

    trainings = [training | {"kind": kind} for kind in TRAINED]
    measure_rows(policies, trainings, train)
    local = LocalModel.load(artifacts.model(chosen.local_model))
    mix = [*untrained(local, seed)]
    for settings in trainings:
        mix += kept(settings["kind"], folder(settings), chosen.steps)
    by_name = {f"{c.kind}: {c.detail}": c for c in mix}
    shared = {"task": dataset.meta.task, "horizon": chosen.horizon, "episodes": chosen.episodes}
    grid = [training | shared | {"kind": c.kind, "policy": n} for n, c in by_name.items()]
    model = GlobalModel.load(artifacts.model(chosen.global_model)).to(device())

    def measure(settings: Settings) -> dict[str, Any]:
        return both_returns(settings, by_name[settings["policy"]], model, dataset)

    return measure_rows(work_folder(chosen.home, NAME), grid, measure)


def both_returns(
    settings: Settings, candidate: Candidate, model: GlobalModel, dataset: Dataset
) -> dict[str, Any]:
    """Mean return over the first `horizon` steps, imagined and true, and the true success."""
    actor, local = candidate.actor.to(device()).eval(), candidate.local.to(device()).eval()
    task, horizon, count = settings["task"], settings["horizon"], settings["episodes"]
    frames, actions = beginnings(dataset, model.config.context, count)
    generator = torch.Generator().manual_seed(settings["seed"])
    imagined = imagine_policy(actor, model, local, frames, actions, horizon, generator)[1]
    imagined_returns = imagined.sum(1).double().cpu().numpy()
    true = run_episodes(
        lambda: make_judge(task, local.config.image_size),
        LearnedBatch(actor, local),
        count,
        10_000 + settings["seed"],
        max_steps=horizon,
    )
    return {
        "imagined_return": float(imagined_returns.mean()),
        "imagined_interval": mean_interval(imagined_returns),
        "true_return": float(true.returns.mean()),
        "true_interval": mean_interval(true.returns),
        "true_success": float(true.ever.mean()),
    }


def beginnings(dataset: Dataset, length: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """First frames (count, length, 3, H, W) of held-out episodes and their actions, over again
    when there are fewer episodes: the sampler's noise differs."""
    first = np.array([e.start for e in dataset.validation if e.length >= length])
    if not len(first):
        raise ValueError(f"no held-out episode has {length} frames")
    rows = np.resize(first, count)[:, None] + np.arange(length)
    frames = to_float(torch.from_numpy(dataset.frames[rows]).to(device()))
    return frames, torch.from_numpy(dataset.actions[rows]).to(device())


def publish_rows(rows: Sequence[Row], results: Path) -> Path:
    """Correlations over policies with bootstrap intervals; the scatter plot."""
    imagined, true = (
        np.array([r[f"{world}_return"] for r in rows], np.float64) for world in ("imagined", "true")
    )
    task = rows[0]["task"]
    line: dict[str, Any] = {
        "task": task,
        "policies": len(rows),
        "horizon": rows[0]["horizon"],
        "seeds": sorted({r["seed"] for r in rows}),
    }
    for name, statistic in (("spearman", spearman), ("pearson", pearson)):
        interval = bootstrap_interval(statistic, imagined, true)
        line[name] = {"mean": statistic(imagined, true), "interval": interval, "n": len(rows)}
    line["mean_difference"] = {
        "mean": float((imagined - true).mean()),
        "interval": mean_interval(imagined - true),
    }
    claim = f"{task}: the imagined return ranks policies as the true one does"
    draw = partial(scatter, rows=rows, line=line)
    summary: Summary = [line]
    return publish(f"{NAME}_{task}", claim, rows, summary, draw, results)


def scatter(figure: Figure, rows: Sequence[Row], line: dict[str, Any]) -> None:
    """Each policy's true return over its imagined one, with the line of equal returns."""
    axes = figure.subplots()
    kinds = list(dict.fromkeys(r["kind"] for r in rows))
    for kind, colour in zip(kinds, COLOURS, strict=False):
        of_kind = [r for r in rows if r["kind"] == kind]
        x, y = ([r[f"{world}_return"] for r in of_kind] for world in ("imagined", "true"))
        x_error, y_error = (
            np.array([[r[f"{w}_return"] - r[f"{w}_interval"][0] for r in of_kind]] * 2)
            for w in ("imagined", "true")
        )
        axes.errorbar(x, y, y_error, x_error, "o", ms=5, elinewidth=0.6, color=colour, label=kind)
    values = [r[f"{world}_return"] for r in rows for world in ("imagined", "true")]
    ends = min(values), max(values)
    axes.plot(ends, ends, ":", color=GREY, label="equal")
    axes.set_xlabel(f"imagined return of {line['horizon']} steps")
    axes.set_ylabel(f"true return of the first {line['horizon']} steps")
    low, high = line["spearman"]["interval"]
    axes.set_title(
        f"{line['task']}: rank correlation {line['spearman']['mean']:.2f} "
        f"[{low:.2f}, {high:.2f}] over {line['policies']} policies"
    )
    axes.legend(fontsize=8)


if __name__ == "__main__":
    main()
