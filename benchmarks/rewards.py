"""Does a reward learned from play alone, without labels, rank frames as the task's progress does?

    python -m benchmarks.rewards --home .foglab --dataset ds_… [--goals 16] [--steps 1000]
        [--goal-horizon 40] [--seeds 0 1 2]

Trains the ranking reward model on the training episodes and compares it on held-out ones with the
task's own progress, which it never sees: Spearman's rank correlation over all frames and within
episodes, with 95 % intervals over episodes. Goal frames are picked by label, in the place of a
person who picks them by eye. Needs a dataset of a task with a simulator. Resumable.
"""

import argparse
from functools import partial
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
    summarise,
    work_folder,
)
from benchmarks.plots import points
from benchmarks.success import Progress
from core.artifacts import Artifacts
from core.data.dataset import Dataset
from core.evaluation.rewards import reward_report
from core.global_model.model import GlobalModel
from core.jobs.spec import GlobalModelSpec
from core.stages.global_model import config_of
from core.stages.setup import device, seed_everything
from core.training.reward import train_reward
from core.training.reward_data import picked_goals

NAME = "ranking_reward"
FIGURES = {
    "reward_vs_progress": "progress,\nall frames",
    "reward_vs_progress_per_episode": "progress,\nwithin episodes",
    "reward_vs_logged": "logged reward,\nall frames",
}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--dataset", required=True)
    options.add_argument("--goals", type=int, default=16, help="frames that show the goal")
    options.add_argument("--steps", type=int, default=1000, help="optimizer steps")
    options.add_argument("--goal-horizon", type=int, default=40, help="longest piece in steps")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    chosen = options.parse_args()
    artifacts, work = Artifacts(chosen.home), work_folder(chosen.home, NAME)
    dataset = Dataset.open(artifacts.existing(artifacts.dataset(chosen.dataset)))
    grid = [settings_of(chosen, dataset, seed) for seed in chosen.seeds]
    publish_rows(measure_rows(work, grid, partial(one_seed, dataset, work)), chosen.results)


def settings_of(chosen: argparse.Namespace, dataset: Dataset, seed: int) -> Settings:
    """What one row measures."""
    return {
        "task": dataset.meta.task,
        "dataset": chosen.dataset,
        "goals": chosen.goals,
        "steps": chosen.steps,
        "goal_horizon": chosen.goal_horizon,
        "seed": seed,
    }


def one_seed(dataset: Dataset, work: Path, settings: Settings) -> dict[str, Any]:
    """Train the reward model alone; the denoiser plays no part."""
    seed_everything(settings["seed"])
    spec = GlobalModelSpec(
        dataset=settings["dataset"],
        reward="ranking",
        goals=picked_goals(dataset, settings["goals"], settings["seed"]),
        reward_steps=settings["steps"],
        goal_horizon=settings["goal_horizon"],
        seed=settings["seed"],
    )
    model = GlobalModel(config_of(spec, dataset.meta)).to(device())
    train_reward(spec, model, dataset, Progress(), work / key_of(settings))
    return reward_report(model.eval().reward, dataset, settings["seed"])


def publish_rows(rows: list[Row], results: Path) -> Path:
    """Correlations over seeds; each row has its own interval over episodes."""
    task = rows[0]["task"]
    shown = {name: mean(name) for name in FIGURES if name in rows[0].values}
    summary = summarise(rows, ("task", "goals", "steps", "goal_horizon"), shown)
    claim = f"{task}: a reward learned without labels ranks frames as the task's progress does"
    draw = partial(draw_rows, rows=rows, names=[*shown])
    return publish(f"{NAME}_{task}", claim, rows, summary, draw, results)


def draw_rows(figure: Figure, rows: list[Row], names: list[str]) -> None:
    """One point for each seed and figure, with its interval over held-out episodes."""
    axes = figure.subplots()
    step = 0.6 / max(1, len(rows))
    for n, row in enumerate(rows):
        places = [i + step * (n - (len(rows) - 1) / 2) for i in range(len(names))]
        points(
            axes, places, [row[name] for name in names], [row[f"{name}_interval"] for name in names]
        )
    axes.set_xticks(range(len(names)), [FIGURES[name] for name in names])
    axes.set_ylim(0, 1)
    axes.set_ylabel("rank correlation (95 % interval)")
    title: Summary = summarise(rows, ("task",), {})
    axes.set_title(f"{rows[0]['task']}: seeds {title[0]['seeds']}")


if __name__ == "__main__":
    main()
