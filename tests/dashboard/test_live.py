"""Curves grow line by line with the run's file, and begin anew when a run takes lines back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import charts
from dashboard.live import Curves, smoothed, thinned
from foglab.client import ServiceClient
from tests.dashboard.conftest import Service
from tests.dashboard.makers import Lab, training, write_metrics

Numbers = st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=3000)


def test_curves_grow_as_the_file_does(client: ServiceClient, service: Service, lab: Lab) -> None:
    job, folder = training(client, service.store, service.artifacts, lab.dataset, seed=11)
    curves = Curves(job.id)
    assert not curves.read(client)
    write_metrics(folder, 0, 5)
    assert curves.read(client)
    assert not curves.read(client)
    write_metrics(folder, 5, 3)
    assert curves.read(client)
    steps, values = curves.series["global/loss"]
    assert steps == list(range(8))
    assert values[0] == pytest.approx(2.0)
    assert set(curves.series) == {"global/loss", "global/grad_norm"}


@pytest.mark.parametrize("kept", [0, 4])
def test_resumed_run_has_one_curve(
    client: ServiceClient, service: Service, lab: Lab, kept: int
) -> None:
    job, folder = training(client, service.store, service.artifacts, lab.dataset, seed=20 + kept)
    curves = Curves(job.id)
    write_metrics(folder, 0, 9)
    curves.read(client)
    metrics = folder / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:kept]))
    write_metrics(folder, kept, 12 - kept)
    curves.read(client)
    assert curves.series["global/loss"][0] == list(range(12))


@given(Numbers, st.integers(1, 900))
def test_thinned_curve_is_short_in_order_and_keeps_the_newest(
    values: list[float | None], most: int
) -> None:
    steps, shown = thinned((list(range(len(values))), values), most)
    assert len(steps) <= most
    assert steps == sorted(set(steps))
    assert steps[-1] == len(values) - 1
    assert shown == [values[s] for s in steps]


@given(Numbers, st.integers(2, 50))
def test_smooth_curve_stays_within_the_raw_one(values: list[float | None], span: int) -> None:
    known = [v for v in values if v is not None]
    for raw, smooth in zip(values, smoothed(values, span), strict=True):
        assert (raw is None) == (smooth is None)
        if smooth is not None:
            slack = 1e-6 * (1 + sum(abs(v) for v in known))
            assert min(known) - slack <= smooth <= max(known) + slack


def test_smoothing_leaves_a_straight_line_alone() -> None:
    line: list[float | None] = [2.0 * n for n in range(100)]
    assert smoothed(line, 10) == pytest.approx(line)


def test_long_curve_is_drawn_smooth_over_raw() -> None:
    series = (list(range(500)), [1.0 / (1 + s) for s in range(500)])
    figure = charts.curve("global/loss", series)
    assert [trace.name for trace in figure.data] == ["raw", "smooth"]
    assert len(charts.curve("global/loss", ([1], [2.0])).data) == 1


def test_interval_bars_reach_from_bound_to_bound() -> None:
    figure = charts.bars("Success", {"ours": (0.4, (0.3, 0.55)), "random": (0.02, None)})
    (bars,) = figure.data
    assert list(bars.y) == ["random", "ours"]
    assert bars.error_x.array[1] == pytest.approx(0.15)
    assert bars.error_x.arrayminus[1] == pytest.approx(0.1)
