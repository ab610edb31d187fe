"""Rows survive interruptions and are shared among processes; tables and plots are whole."""

import json
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import pytest
from matplotlib.figure import Figure

from benchmarks.harness import (
    mean,
    measure_rows,
    publish,
    read_rows,
    share,
    summarise,
    work_folder,
)
from benchmarks.machine import command
from benchmarks.plots import band
from benchmarks.terminal import cell
from core.evaluation.success import share_interval

GRID = [{"method": m, "seed": s} for m in ("fog", "ppo") for s in (0, 1, 2)]


def measure(settings: Any) -> dict[str, Any]:
    return {"won": (1 + settings["seed"]) / 4, "episodes": 4}


def test_a_second_start_measures_only_what_is_missing(tmp_path: Path) -> None:
    work, calls = work_folder(tmp_path, "won"), []

    def interrupted(settings: Any) -> dict[str, Any]:
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(settings)
        return measure(settings)

    with pytest.raises(KeyboardInterrupt):
        measure_rows(work, GRID, interrupted)
    again: list[Any] = []
    rows = measure_rows(work, GRID, lambda s: again.append(s) or measure(s))  # type: ignore[func-returns-value]
    assert calls + again == GRID
    assert [row.settings for row in rows] == GRID
    assert {row["seed"]: row["won"] for row in rows} == {0: 0.25, 1: 0.5, 2: 0.75}


def slow(settings: Any) -> dict[str, Any]:
    time.sleep(0.05)
    return {"at": time.monotonic()}


def share_of_work(work: Path) -> None:
    measure_rows(work, GRID, slow)


def test_processes_share_the_rows_and_measure_none_twice(tmp_path: Path) -> None:
    work = work_folder(tmp_path, "won")
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=share_of_work, args=(work,)) for _ in range(2)]
    for other in others:
        other.start()
    rows = measure_rows(work, GRID, slow)
    for other in others:
        other.join()
        assert other.exitcode == 0
    times = sorted(row["at"] for row in rows)
    assert len(read_rows(work)) == len(set(times)) == len(GRID)
    assert times == sorted(row["at"] for row in read_rows(work))


def test_a_summary_has_one_line_for_each_group_over_all_seeds(tmp_path: Path) -> None:
    rows = measure_rows(work_folder(tmp_path, "won"), GRID, measure)
    figures = {"won": share("won", "episodes"), "mean": mean("won")}
    fog, ppo = summarise(rows, ("method",), figures)
    assert fog == ppo | {"method": "fog"}
    assert fog["seeds"] == [0, 1, 2]
    assert fog["won"] == {"mean": 0.5, "interval": share_interval(6, 12), "n": 12}
    assert fog["mean"]["mean"] == 0.5


def draw(figure: Figure) -> None:
    band(figure.subplots(), [0, 1], [0.5, 0.6], [(0.4, 0.6), (0.5, 0.7)])


def test_a_table_tells_seeds_machine_versions_and_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = measure_rows(work_folder(tmp_path, "won"), GRID, measure)
    summary = summarise(rows, ("method",), {"won": share("won", "episodes")})
    claim, results = "FoG wins", tmp_path / "results"
    path = publish("won", claim, rows, summary, draw, results)
    table = json.loads(path.read_text())
    assert table["seeds"] == [0, 1, 2]
    assert len(table["rows"]) == len(GRID)
    [run] = table["runs"]
    assert run["machine"]["cpu"]
    assert run["machine"]["cores"] >= 1
    assert {"torch", "diffusers", "commit"} <= run["versions"].keys()
    assert run["command"].startswith("python -m benchmarks.")
    assert str(tmp_path) not in path.read_text()
    assert cv2.imread(str(path.with_suffix(".png"))).mean() > 200, "a light background"
    assert sorted(p.name for p in path.parent.iterdir()) == ["won.json", "won.png"]
    assert "0.5 [0.254, 0.746]" in capsys.readouterr().out


def test_a_command_can_be_run_again_on_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = "/here/benchmarks/won.py --home /data/home --results /scratch --seeds 0 1"
    monkeypatch.setattr(sys, "argv", typed.split())
    expected = "python -m benchmarks.won --home $FOGLAB_HOME --seeds 0 1"
    assert command(Path("/data/home")) == expected


def test_a_number_that_is_not_finite_never_becomes_a_row(tmp_path: Path) -> None:
    work = work_folder(tmp_path, "won")
    with pytest.raises(ValueError, match="not finite"):
        measure_rows(work, GRID[:1], lambda _: {"won": float("nan")})
    assert read_rows(work) == []


def test_a_value_named_like_a_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seed"):
        measure_rows(work_folder(tmp_path, "won"), GRID[:1], lambda _: {"seed": 1})


def test_numbers_are_shown_short() -> None:
    assert cell({"mean": 0.96667, "interval": (0.9397, 0.98179)}) == "0.967 [0.94, 0.982]"
    assert cell({"mean": 2.0, "interval": None}) == "2"
    assert cell(276480.0) == "276,480"
    assert cell([0, 1]) == "0, 1"
