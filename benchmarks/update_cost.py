"""What one policy update costs: decoupled, the true gradient through diffusion, and PPO.

    python -m benchmarks.update_cost --home .foglab [--horizons 4 8 16 32] [--sizes demo large] \\
        [--seeds 0 1 2] [--dataset ds_… --global-model gm_… --local-model lm_…]

Every way gets the same rollout of the global model, with the same noise. Decoupled: one actor step
along the stored rollout, through the local model. Full: the same actor step, through reward model,
sampler, encoder and filter; its graph is made while it rolls out. PPO: one pass over the rollout.

Time: medians of `--repeats`, on a CPU in processor time. `with_rollout` counts the rollout on both
sides; `update` leaves it out on both: for the full gradient that is its time beyond a plain rollout;
`loop` is for all the actor steps that the policy job makes on one rollout, where the full gradient
has to roll out anew for each. Memory: the peak that torch holds during the call above what it held
before (CPU: sum of the profiler's allocation events; GPU: `max_memory_allocated`), so weights and
the stored rollout are not counted. The full graph also holds a bfloat16 copy of the weights for
every imagined step (about 7 MB a step at demo size), because autocast makes one each time. Seeds
change weights, starts and noise. The table is made of all finished rows of this kind of device.

With models that were trained, `directions` says how well the two gradients of the discounted return
agree, for an untrained policy: cosine of the gradients of the actor's weights, and of single
actions. Neither is the true simulator's; both are estimates of it.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.harness import (
    Row,
    Settings,
    Summary,
    mean,
    measure_rows,
    parser,
    publish,
    read_rows,
    summarise,
    work_folder,
)
from benchmarks.plots import COLOURS
from benchmarks.updates import (
    ENVIRONMENTS,
    SIZES,
    directions,
    fresh_actor,
    make_problem,
    measure,
    ratios,
    untrained,
)
from core.artifacts import Artifacts
from core.data.dataset import Dataset
from core.global_model.model import GlobalModel
from core.jobs.spec import PolicySpec
from core.local_model.model import LocalModel
from core.stages.setup import device

NAME = "update_cost"
MODELS = ("dataset", "global_model", "local_model")
WAYS = {
    "rollout": "rollout alone",
    "decoupled": "decoupled actor step",
    "full_with_rollout": "full gradient (with its rollout)",
    "ppo_epoch": "PPO, one pass",
    "local_refresh": "one step of the local model",
}
RATIOS = (
    "time_ratio",
    "time_ratio_update",
    "time_ratio_loop",
    "memory_ratio",
    "memory_ratio_update",
)
COSINES = ("cosine_weights", "cosine_first_action", "cosine_last_action", "norm_ratio_weights")


def main() -> None:
    options = parser(__doc__)
    for name in MODELS:
        options.add_argument(f"--{name.replace('_', '-')}", help="trained: adds the directions")
    options.add_argument("--sizes", nargs="+", choices=SIZES, default=[*SIZES])
    options.add_argument("--horizons", type=int, nargs="+", default=[4, 8, 16, 32])
    options.add_argument("--environments", type=int, help=f"side by side; {ENVIRONMENTS}")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--repeats", type=int, default=3)
    chosen = options.parse_args()
    if len({getattr(chosen, name) is None for name in MODELS}) > 1:
        options.error("give --dataset, --global-model and --local-model together, or none of them")
    work = work_folder(chosen.home, NAME)
    grid = all_settings(chosen)
    measure_rows(work, grid, partial(one_row, Artifacts(chosen.home)))
    rows = [r for r in read_rows(work) if r["device"] == device().type]
    publish_rows(rows, chosen.results)


def all_settings(chosen: argparse.Namespace) -> list[Settings]:
    """Cost for each size, directions where models are given, each by horizon and seed."""
    counts = ENVIRONMENTS | {"trained": 16}
    parts = [{"what": "cost", "size": s, "repeats": chosen.repeats} for s in chosen.sizes]
    if chosen.dataset is not None:
        named = {name: getattr(chosen, name) for name in MODELS}
        parts.append({"what": "directions", "size": "trained", **named})
    return [
        {
            **part,
            "device": device().type,
            "environments": chosen.environments or counts[part["size"]],
            "horizon": horizon,
            "seed": seed,
        }
        for part in parts
        for horizon in chosen.horizons
        for seed in chosen.seeds
    ]


def one_row(artifacts: Artifacts, settings: Settings) -> dict[str, Any]:
    """Measure one size, horizon and seed."""
    names = {name: settings.get(name, "none_00000000") for name in MODELS}
    sizes = {k: settings[k] for k in ("environments", "horizon", "seed")}
    spec = PolicySpec.model_validate(names | sizes | {"max_age": 2 * settings["horizon"]})
    if settings["what"] == "directions":
        dataset = Dataset.open(artifacts.existing(artifacts.dataset(names["dataset"])))
        model = GlobalModel.load(artifacts.existing(artifacts.model(names["global_model"])))
        local = LocalModel.load(artifacts.existing(artifacts.model(names["local_model"])))
        model, local = model.to(device()), local.to(device())
        actor = fresh_actor(local, settings["seed"])
        return directions(make_problem(dataset, model, local, actor, spec))
    dataset, model, local, actor = untrained(settings["size"], settings["seed"], device())
    parameters = {
        "denoiser_parameters": sum(p.numel() for p in model.denoiser.parameters()),
        "local_parameters": sum(p.numel() for p in local.parameters()),
    }
    problem = make_problem(dataset, model, local, actor, spec)
    return parameters | measure(problem, settings["repeats"])


def publish_rows(rows: list[Row], results: Path) -> Path:
    """Table of costs and ratios, table of directions, plot of costs by horizon."""
    rows = sorted(rows, key=lambda r: (r["what"], r["size"], r["horizon"], r["seed"]))
    cost = [replace(r, values=r.values | ratios(r.values)) for r in rows if r["what"] == "cost"]
    agree = [r for r in rows if r["what"] == "directions"]
    by = ("size", "horizon", "environments")
    units = [f"{way}_{unit}" for way in WAYS for unit in ("seconds", "megabytes")]
    figures = {name: mean(name) for name in (*RATIOS, *units, "denoiser_parameters")}
    summary = summarise(cost, by, figures)
    extra = {
        "directions": summarise(agree, by, {name: mean(name) for name in COSINES}),
    }
    claim = "a decoupled update costs a fraction of the full gradient through diffusion"
    draw = partial(draw_costs, summary=summary)
    name = NAME if rows[0]["device"] == "cpu" else f"{NAME}_{rows[0]['device']}"
    return publish(name, claim, [*cost, *agree], summary, draw, results, extra)


def draw_costs(figure: Figure, summary: Summary) -> None:
    """Seconds above, megabytes below; one column for each size."""
    sizes = [*dict.fromkeys(line["size"] for line in summary)]
    figure.set_size_inches(4.8 * len(sizes), 7.2)
    panels = figure.subplots(2, len(sizes), squeeze=False)
    for column, size in enumerate(sizes):
        lines = [line for line in summary if line["size"] == size]
        for row, unit in enumerate(("seconds", "megabytes")):
            axes = panels[row, column]
            for (way, label), colour in zip(WAYS.items(), COLOURS, strict=False):
                values = [line[f"{way}_{unit}"]["mean"] for line in lines]
                axes.plot(
                    [line["horizon"] for line in lines], values, "o-", label=label, color=colour
                )
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(
                [line["horizon"] for line in lines], [line["horizon"] for line in lines]
            )
            axes.set_xlabel("imagined steps, H")
            axes.set_ylabel(f"{unit}" if unit == "seconds" else "peak megabytes")
        millions = lines[0]["denoiser_parameters"]["mean"] / 1e6
        steps = SIZES[size]["num_denoising_steps"]
        panels[0, column].set_title(
            f"{size}: {millions:.1f} M, {SIZES[size]['image_size']} px, {steps} denoising step(s)"
        )
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


if __name__ == "__main__":
    main()
