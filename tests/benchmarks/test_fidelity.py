"""The fidelity benchmark end to end on a small world, and what its curves say."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import fidelity
from benchmarks.fidelity import compare
from benchmarks.fidelity_curves import METRICS, SPLITS, all_curves
from benchmarks.similarity import OBJECTS
from tests.benchmarks.conftest import IDS


def test_a_table_of_all_predictors_is_written(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = "--windows 6 --horizon 5 --seeds 0 1"
    results = home / "results"
    command = f"fidelity --home {home} --results {results} {IDS} {sizes}"
    monkeypatch.setattr(sys, "argv", command.split())
    fidelity.main()
    table = json.loads((results / "fidelity_push_disc.json").read_text())
    assert table["windows"] == 12
    assert {c["predictor"] for c in table["curves"]} == {"global", "local", "still"}
    assert {c["metric"] for c in table["curves"]} == set(METRICS)
    assert {c["split"] for c in table["curves"]} == set(SPLITS)
    assert all(len(c["mean"]) == 5 for c in table["curves"])
    assert (results / "fidelity_push_disc.png").stat().st_size > 10_000
    assert "no contact" in capsys.readouterr().out


def test_contact_splits_every_step_by_what_happened_so_far() -> None:
    contact = np.array([[False, True, True], [False, False, False]])
    values = np.array([[1.0, 2, 3], [5, 6, 7]])
    arrays = {"global.psnr": values, "contact": contact, "episode": np.array([0, 1])}
    curves = {c["split"]: c for c in all_curves(arrays)}
    assert curves["all"]["mean"] == [3, 4, 5]
    assert curves["contact"]["mean"] == [None, 2, 3]
    assert curves["no contact yet"]["mean"] == [3, 6, 7]
    assert curves["contact"]["n"] == [0, 1, 1]


def test_object_out_of_the_picture_is_left_out_of_its_sizes() -> None:
    real = torch.ones(2, 1, 3, 16, 16)
    colour = torch.tensor(OBJECTS["push_t"][0]) / 127.5 - 1
    real[0, 0, :, 4:8, 4:10] = colour[:, None, None]
    found = compare(real, real, "push_t")
    for name in ("size_error", "spread_error"):
        assert found[name][0] == 0
        assert np.isnan(found[name][1])
    arrays = {f"global.{k}": v for k, v in found.items()} | {"episode": np.array([0, 1])}
    curves = {c["metric"]: c for c in all_curves(arrays)}
    assert (curves["size_error"]["mean"], curves["size_error"]["n"]) == ([0], [1])
    assert curves["psnr"]["n"] == [2]
