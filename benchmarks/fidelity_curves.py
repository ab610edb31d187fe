"""Curves of fidelity by imagined step: their intervals, table and plot."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.harness import Summary
from benchmarks.plots import COLOURS, GREY, band
from core.evaluation.statistics import clustered_mean

STEPS = (1, 5, 10, 20)
METRICS = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "gmsd": "GMSD (smaller is better)",
    "size_error": "error of the object's area, %",
    "spread_error": "error of the object's radius, %",
}
PREDICTORS = {"global": COLOURS[0], "local": COLOURS[1], "still": GREY}
NAMES = {"global": "global model", "local": "local model's dream", "still": "last frame repeated"}
SPLITS = ("all", "no contact yet", "contact")
Arrays = dict[str, np.ndarray]


def all_curves(arrays: Arrays) -> list[dict[str, Any]]:
    """Mean and interval by imagined step for each predictor, split and metric."""
    everything = np.ones_like(arrays["global.psnr"], bool)
    splits = {"all": everything}
    if "contact" in arrays:
        splits |= {"no contact yet": ~arrays["contact"], "contact": arrays["contact"]}
    curves = []
    for predictor in PREDICTORS:
        for split, keep in splits.items():
            for metric in METRICS:
                if f"{predictor}.{metric}" not in arrays:
                    continue
                values = arrays[f"{predictor}.{metric}"].astype(np.float64)
                told = keep & ~np.isnan(values)
                means, intervals = clustered_mean(values, arrays["episode"], told)
                curves.append(
                    {
                        "predictor": predictor,
                        "split": split,
                        "metric": metric,
                        "n": told.sum(0).tolist(),
                        "mean": _rounded(means),
                        "interval": [_rounded(i) for i in intervals],
                    }
                )
    return curves


def _rounded(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(v) else round(float(v), 4) for v in values]


def summary_of(curves: Sequence[dict[str, Any]], seeds: list[int]) -> Summary:
    """One line for each predictor, split and shown step."""
    lines: dict[tuple[str, str, int], dict[str, Any]] = {}
    for c in curves:
        for step in (s for s in STEPS if s <= len(c["mean"])):
            key = (c["predictor"], c["split"], step)
            start = {"frames": NAMES[key[0]], "split": key[1], "step": step, "seeds": seeds}
            line = lines.setdefault(key, start | {"n": c["n"][step - 1]})
            mean, interval = c["mean"][step - 1], c["interval"][step - 1]
            line[c["metric"]] = {"mean": mean, "interval": interval} if mean is not None else None
    return list(lines.values())


def draw_curves(figure: Figure, curves: Sequence[dict[str, Any]], task: str) -> None:
    """One panel for each metric; solid: contact or all, dashed: no contact yet."""
    figure.set_size_inches(9.6, 7.2)
    shown = [m for m in METRICS if any(c["metric"] == m for c in curves) and m != "spread_error"]
    panels = figure.subplots(2, 2).ravel()
    split_known = any(c["split"] == "contact" for c in curves)
    for axes, metric in zip(panels, shown, strict=False):
        for c in (c for c in curves if c["metric"] == metric):
            if c["split"] == ("all" if split_known else "contact"):
                continue
            steps = [t for t, mean in enumerate(c["mean"]) if mean is not None]
            label = NAMES[c["predictor"]] + (f", {c['split']}" if split_known else "")
            band(
                axes,
                [t + 1 for t in steps],
                [c["mean"][t] for t in steps],
                [c["interval"][t] for t in steps],
                label,
                PREDICTORS[c["predictor"]],
                "--" if c["split"] == "no contact yet" else "-",
            )
        axes.set_xlabel("imagined step")
        axes.set_ylabel(METRICS[metric])
        axes.set_ylim(bottom=0 if metric in ("gmsd", "size_error") else None)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    figure.suptitle(f"{task}: imagined frames against held-out real ones (95 % bands)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
