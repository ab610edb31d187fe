"""Plots of benchmarks: one look, colours that colour-blind readers can tell apart."""

from collections.abc import Sequence

import matplotlib
from matplotlib import rcsetup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
"""Okabe and Ito (2008), less yellow, which is faint on white; grey for references."""
GREY = COLOURS[-1]

matplotlib.use("Agg")
matplotlib.rcParams |= {
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 10,
    "axes.prop_cycle": rcsetup.cycler("color", COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def new_figure() -> Figure:
    """An empty figure of the usual size; give it a size of its own for several panels."""
    return Figure(figsize=(6.4, 4.2), layout="constrained")


def band(
    axes: Axes,
    x: Sequence[float],
    means: Sequence[float],
    intervals: Sequence[Sequence[float]] | None = None,
    label: str | None = None,
    colour: str | None = None,
    style: str = "-",
) -> Line2D:
    """A curve with its 95 % band."""
    (line,) = axes.plot(x, means, style, label=label, color=colour)
    if intervals is not None:
        low, high = zip(*intervals, strict=True)
        axes.fill_between(x, low, high, color=line.get_color(), alpha=0.18, linewidth=0)
    return line


def points(
    axes: Axes,
    x: Sequence[float],
    means: Sequence[float],
    intervals: Sequence[Sequence[float]],
    label: str | None = None,
    colour: str | None = None,
) -> None:
    """Marks with 95 % error bars."""
    pairs = list(zip(means, intervals, strict=True))
    errors = [[max(0, m - i[0]) for m, i in pairs], [max(0, i[1] - m) for m, i in pairs]]
    axes.errorbar(x, means, errors, fmt="o", capsize=4, label=label, color=colour)
