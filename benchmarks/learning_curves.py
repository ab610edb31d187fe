"""Table, comparison and plot of runs that were judged on the way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from benchmarks.harness import Row, Summary, mean, share, summarise
from benchmarks.plots import COLOURS, GREY, band
from core.evaluation.success import mean_interval, share_interval

METHODS = ("fog", "ppo", "rssm_only", "behaviour_cloning")
NAMES = {
    "fog": "decoupled first-order (ours)",
    "ppo": "PPO in the global model",
    "rssm_only": "local model's dream only",
    "behaviour_cloning": "behaviour cloning",
}

MEASURES = {"success": "true success", "passed": "of the true episodes pass through the goal pose"}
"""What a curve may show, by its name in a judged point."""


def summary_of(rows: Sequence[Row]) -> Summary:
    """One line for each method: when it got to the target, and where it ended."""
    figures = {
        "budget": lambda some: some[0]["total_frames"],
        "reached": lambda some: f"{len(times(some, 'reached', 'frames'))} of {len(some)}",
        "frames": lambda some: _mean(times(some, "reached", "frames")),
        "seconds": lambda some: _mean(times(some, "reached", "seconds")),
        "stayed": lambda some: f"{len(times(some, 'reached_and_stayed', 'frames'))} of {len(some)}",
        "frames_stayed": lambda some: _mean(times(some, "reached_and_stayed", "frames")),
        "final_success": share("final_success", "final_episodes"),
        "final_ever": share("final_ever", "final_episodes"),
    }
    if all("final_passed" in r.values for r in rows):
        figures["final_passed"] = share("final_passed", "final_episodes")
        figures["final_coverage"] = mean("final_coverage")
    return summarise(rows, ("method",), figures)


def times(rows: Sequence[Row], which: str, what: str) -> list[float]:
    """Frames or seconds until the target, of those seeds that got there."""
    return [r[which][what] for r in rows if r[which] is not None]


def _mean(values: Sequence[float]) -> dict[str, Any] | None:
    if not values:
        return None
    several = np.array(values, np.float64)
    interval = mean_interval(several) if len(several) > 1 else None
    return {"mean": float(several.mean()), "interval": interval, "n": len(several)}


def ratios(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """How many times fog's mean frames and seconds to the target each other method needs.

    A seed that never got there counts with all that it spent, and makes the ratio a lower bound.
    Nothing is said when a seed of fog never got there.
    """
    ours = [r for r in rows if r["method"] == "fog"]
    if not ours or any(r["reached"] is None for r in ours):
        return {}
    found: dict[str, dict[str, Any]] = {}
    for method in [m for m in ("ppo", "rssm_only") if any(r["method"] == m for r in rows)]:
        theirs = [r for r in rows if r["method"] == method]
        found[method] = {
            "lower_bound": any(r["reached"] is None for r in theirs),
            **{k: round(_spent(theirs, k) / _spent(ours, k), 2) for k in ("frames", "seconds")},
        }
    return found


def _spent(rows: Sequence[Row], what: str) -> float:
    return float(
        np.mean([r[f"total_{what}"] if r["reached"] is None else r["reached"][what] for r in rows])
    )


def draw_curves(figure: Figure, rows: Sequence[Row], measure: str, target: float) -> None:
    """The measure by imagined frames, and by seconds of training; bands over all seeds' episodes."""
    figure.set_size_inches(9.6, 4.4)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, what in zip(panels, ("frames", "seconds"), strict=True):
        for method, colour in zip(METHODS, COLOURS, strict=False):
            some = [r for r in rows if r["method"] == method]
            if some:
                _draw_method(axes, some, measure, what, NAMES[method], colour)
        axes.axhline(100 * target, color=GREY, linestyle=":", linewidth=1)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(-3, 103)
    panels[0].set_xlabel("imagined frames")
    panels[1].set_xlabel("seconds of training, world models given")
    panels[0].set_ylabel(f"% {MEASURES[measure]}\n(95 % bands)", fontsize="small")
    seeds, episodes = len({r["seed"] for r in rows}), rows[0]["episodes"]
    runs = f"{seeds} seed" if seeds == 1 else f"{seeds} seeds"
    figure.suptitle(f"{rows[0]['task']}: {runs}, {episodes} episodes at each point")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=4)


def _draw_method(
    axes: Axes, rows: Sequence[Row], measure: str, what: str, label: str, colour: str
) -> None:
    """Points of all seeds together; a method without imagined frames is a level line.

    A run that was stopped early stays where it was.
    """
    longest = max(len(r["curve"]) for r in rows)
    curves = [c + c[-1:] * (longest - len(c)) for r in rows if (c := r["curve"])]
    shares, intervals = [], []
    for judged in zip(*curves, strict=True):
        total = len(judged) * rows[0]["episodes"]
        wins = round(sum(p[measure] for p in judged) * rows[0]["episodes"])
        shares.append(100 * wins / total)
        intervals.append([100 * v for v in share_interval(wins, total)])
    x = [float(np.mean([p[what] for p in judged])) for judged in zip(*curves, strict=True)]
    if x[-1] == 0:
        axes.axhline(shares[-1], color=colour, linestyle="--", label=label)
    else:
        band(axes, x, shares, intervals, label, colour)
