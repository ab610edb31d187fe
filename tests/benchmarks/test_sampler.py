"""The sampler benchmark: its grids, a measured cell, and that it wants a quiet machine."""

from itertools import product
from pathlib import Path

import psutil
import pytest
import torch

from benchmarks import sampler
from benchmarks.harness import measure_rows, work_folder

CELL = {"device": "here", "image_size": 16, "batch": 2, "steps": 3, "precision": "bf16"}


def test_the_short_grid_varies_each_setting() -> None:
    short = [
        cell
        for cell in product(sampler.SIZES, sampler.STEPS, sampler.BATCHES)
        if sampler.in_short_grid(*cell)
    ]
    assert len(short) < 10
    for i, values in enumerate((sampler.SIZES, sampler.STEPS, sampler.BATCHES)):
        assert {cell[i] for cell in short} == set(values)


def test_a_cell_tells_speed_work_and_share_of_the_peak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sampler.SHAPES, sampler.device().type, ((16, 8, 2),))
    sampler.peak.cache_clear()
    work = work_folder(tmp_path, "sampler")
    rows = measure_rows(work, [CELL], lambda s: sampler.speed(s, seconds=0.05, busy=True))
    sampler.peak.cache_clear()
    low, high = rows[0]["interval"]
    assert low <= rows[0]["frames_per_second"] <= high
    assert rows[0]["gflops"] == pytest.approx(
        rows[0]["gflop_per_frame"] * rows[0]["frames_per_second"]
    )
    path = sampler.publish_rows(rows, tmp_path / "results")
    assert path.with_suffix(".png").exists()


def test_more_denoising_steps_are_more_work() -> None:
    one, three = (sampler.demo_model(16, steps, bf16=True) for steps in (1, 3))
    assert len(three.sigmas) - len(one.sigmas) == 2


def test_a_busy_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 80.0)
    with pytest.raises(SystemExit, match="80 %"):
        sampler.speed(CELL, seconds=0.05, busy=False)


def test_repeats_are_at_least_five() -> None:
    assert len(sampler.repeat(lambda: torch.zeros(1), 0.0)) == 5
