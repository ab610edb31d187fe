"""Numbers → Plotly figures; no Streamlit calls. Colours of text and ground come from the page."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from dashboard.live import Series, smoothed, thinned

BLUE, ORANGE, GREY = "#3b82d6", "#e07b39", "#8a8f98"
COLORS = (BLUE, ORANGE, "#2fa37c", "#b265d6", "#c79a1b", "#d6506a")
_MARGIN = {"l": 8, "r": 8, "t": 34, "b": 8}
_SMOOTH_FROM = 40
"""Curves of fewer points are shown as they are."""


def curve(name: str, series: Series, height: int = 230) -> go.Figure:
    """One metric over optimizer steps; a long one as a smooth line over the raw one."""
    steps, values = thinned(series)
    figure = _figure(name, height)
    long = len(steps) >= _SMOOTH_FROM
    raw = {"color": BLUE, "width": 1 if long else 2}
    figure.add_scatter(
        x=steps,
        y=values,
        mode="lines" if len(steps) > 1 else "markers",
        line=raw,
        opacity=0.35 if long else 1,
        name="raw",
        hovertemplate="step %{x}: %{y:.4g}<extra></extra>",
    )
    if long:
        figure.add_scatter(
            x=steps,
            y=smoothed(values, max(len(values) // 20, 2)),
            mode="lines",
            line={"color": BLUE, "width": 2},
            name="smooth",
            hovertemplate="smooth %{y:.4g}<extra></extra>",
        )
    figure.update_xaxes(title_text="step")
    return figure


def overlaid(name: str, series: Mapping[str, Series], height: int = 260) -> go.Figure:
    """One metric of several runs, each in a colour that it keeps; long curves are smoothed."""
    figure = _figure(name, height)
    for n, (label, whole) in enumerate(series.items()):
        steps, values = thinned(whole, 400)
        long = len(steps) >= _SMOOTH_FROM
        figure.add_scatter(
            x=steps,
            y=smoothed(values, max(len(values) // 20, 2)) if long else values,
            mode="lines" if len(steps) > 1 else "markers",
            line={"color": COLORS[n % len(COLORS)], "width": 2},
            name=label,
            hovertemplate="%{y:.4g}",
        )
    figure.update_xaxes(title_text="step")
    figure.update_layout(
        showlegend=True, hovermode="x unified", legend={"y": -0.3, "x": 0, "xanchor": "left"}
    )
    return figure


def bins(name: str, low: float, high: float, counts: Sequence[int], height: int = 200) -> go.Figure:
    """How often values fall into equal bins between `low` and `high`."""
    width = (high - low) / len(counts)
    figure = _figure(name, height)
    figure.add_bar(
        x=[low + width * (n + 0.5) for n in range(len(counts))],
        y=list(counts),
        width=width,
        marker={"color": BLUE},
        hovertemplate="%{x:.3g}: %{y}<extra></extra>",
    )
    figure.update_yaxes(showticklabels=False)
    return figure


def coverage(
    names: tuple[str, str],
    low: Sequence[float],
    high: Sequence[float],
    counts: Sequence[Sequence[int]],
    height: int = 320,
) -> go.Figure:
    """Where on a plane the logs have been; cells that were never visited stay empty."""
    figure = _figure("Where the logs have been", height)
    steps = [(b - a) / len(counts) for a, b in zip(low, high, strict=True)]
    figure.add_heatmap(
        x0=low[0] + steps[0] / 2,
        dx=steps[0],
        y0=low[1] + steps[1] / 2,
        dy=steps[1],
        z=[[row[j] or None for row in counts] for j in range(len(counts[0]))],
        colorscale="Blues",
        hovertemplate=f"{names[0]} %{{x:.3g}}, {names[1]} %{{y:.3g}}: %{{z}} frames<extra></extra>",
    )
    figure.update_xaxes(title_text=names[0])
    figure.update_yaxes(title_text=names[1])
    return figure


def lengths(train: Sequence[int], validation: Sequence[int], height: int = 200) -> go.Figure:
    """Frames per episode, by split."""
    figure = _figure("Frames per episode", height)
    for label, values, color in (("train", train, BLUE), ("validation", validation, ORANGE)):
        figure.add_histogram(x=list(values), name=label, marker={"color": color}, nbinsx=30)
    figure.update_layout(barmode="stack", showlegend=True)
    figure.update_yaxes(title_text="episodes")
    return figure


def fidelity(imagined: Sequence[float], static: Sequence[float], height: int = 280) -> go.Figure:
    """PSNR by imagined step, beside that of repeating the last real frame."""
    figure = _figure("Likeness to held-out frames by imagined step", height)
    steps = list(range(1, len(imagined) + 1))
    figure.add_scatter(x=steps, y=list(imagined), name="imagined", line={"color": BLUE})
    figure.add_scatter(
        x=steps, y=list(static), name="still picture", line={"color": GREY, "dash": "dash"}
    )
    figure.update_xaxes(title_text="imagined step")
    figure.update_yaxes(title_text="PSNR in dB, more is better")
    figure.update_layout(showlegend=True)
    return figure


def action_gain(shuffled: Sequence[float], gain: Sequence[float], height: int = 280) -> go.Figure:
    """PSNR by imagined step with the logged actions, and with those of another episode."""
    figure = _figure("Likeness with right and with wrong actions", height)
    steps = list(range(1, len(gain) + 1))
    right = [a + b for a, b in zip(shuffled, gain, strict=True)]
    figure.add_scatter(x=steps, y=right, name="logged actions", line={"color": BLUE})
    other = {"color": ORANGE, "dash": "dash"}
    figure.add_scatter(x=steps, y=list(shuffled), name="of another episode", line=other)
    figure.update_xaxes(title_text="imagined step")
    figure.update_yaxes(title_text="PSNR in dB")
    figure.update_layout(showlegend=True)
    return figure


def calibration(imagined: Sequence[float], logged: Sequence[float], height: int = 280) -> go.Figure:
    """Mean logged over mean imagined reward of each bin; on the dashed line they are equal."""
    figure = _figure("Logged over imagined reward, in bins", height)
    ends = [min(*imagined, *logged), max(*imagined, *logged)]
    equal = {"color": GREY, "dash": "dash"}
    figure.add_scatter(x=ends, y=ends, mode="lines", line=equal, name="equal", hoverinfo="skip")
    figure.add_scatter(
        x=list(imagined),
        y=list(logged),
        mode="lines+markers",
        line={"color": BLUE},
        name="bins",
        hovertemplate="imagined %{x:.3g}, logged %{y:.3g}<extra></extra>",
    )
    figure.update_xaxes(title_text="imagined")
    figure.update_yaxes(title_text="logged")
    return figure


def error_map(
    rows: Mapping[str, Sequence[float | None]], current: str | None = None, height: int = 0
) -> go.Figure:
    """PSNR of every rollout by imagined step, first row on top; dark is where it goes astray."""
    names = list(rows)[::-1]
    figure = _figure("Every rollout by imagined step (PSNR in dB)", height or 90 + 26 * len(names))
    figure.add_heatmap(
        x0=1,
        dx=1,
        y=[f"▸ {n}" if n == current else n for n in names],
        z=[list(rows[n]) for n in names],
        colorscale="Viridis",
        colorbar={"thickness": 10, "len": 1, "outlinewidth": 0},
        hovertemplate="%{y}, step %{x}: %{z:.1f} dB<extra></extra>",
    )
    figure.update_xaxes(title_text="imagined step")
    return figure


def bounds(value: object) -> tuple[float, float] | None:
    """An interval of a result as two numbers."""
    if not isinstance(value, list | tuple) or len(value) != 2 or None in value:
        return None
    return value[0], value[1]


def bars(
    title: str,
    rows: Mapping[str, tuple[float, tuple[float, float] | None]],
    *,
    percent: bool = False,
    height: int = 200,
) -> go.Figure:
    """Horizontal bars with 95 % intervals, first row on top."""
    figure = _figure(title, height)
    figure.update_layout(bargap=0.35)
    if percent:
        figure.update_xaxes(tickformat=".0%", range=[0, 1.02])
    names = list(rows)[::-1]
    values = [rows[n][0] for n in names]
    bounds = [rows[n][1] or (rows[n][0], rows[n][0]) for n in names]
    told = any(interval for _, interval in rows.values())
    figure.add_bar(
        x=values,
        y=names,
        orientation="h",
        marker={"color": [BLUE if n == next(iter(rows)) else GREY for n in names]},
        error_x={
            "type": "data",
            "visible": told,
            "symmetric": False,
            "array": [high - v for v, (_, high) in zip(values, bounds, strict=True)],
            "arrayminus": [v - low for v, (low, _) in zip(values, bounds, strict=True)],
            "color": GREY,
        },
        hovertemplate="%{y}: %{x:.3g}<extra></extra>",
    )
    return figure


def _figure(title: str, height: int) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        title={"text": title, "font": {"size": 14}},
        height=height,
        margin=_MARGIN,
        showlegend=False,
        legend={"orientation": "h", "y": 1.02, "x": 1, "xanchor": "right", "yanchor": "bottom"},
        # The reader's zoom survives the next redraw.
        uirevision="kept",
        bargap=0.05,
    )
    return figure
