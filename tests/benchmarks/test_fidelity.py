"""The fidelity benchmark end to end on a small world, and what its curves say."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import fidelity
from benchmarks.fidelity_curves import all_curves
from core.global_model.model import GlobalConfig, GlobalModel
from core.local_model.model import LocalConfig, LocalModel
from tests.training.makers import SIZE, bar_dataset


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A dataset with an untrained model of each kind."""
    bar_dataset(tmp_path / "datasets" / "ds_00000000" / "v1", episodes=20)
    torch.manual_seed(0)
    sizes = {"context": 2, "patch": 4, "channels": (32, 32), "layers_per_block": 1}
    config = GlobalConfig(SIZE, 1, sigma_max=1.0, num_denoising_steps=1, **sizes)  # type: ignore[arg-type]
    local = LocalModel(LocalConfig(SIZE, 1, 1, deter=16, stoch=4, hidden=16, units=16, embed=16))
    for name, model in (("gm_00000000", GlobalModel(config)), ("lm_00000000", local)):
        (tmp_path / "models" / name).mkdir(parents=True)
        model.save(tmp_path / "models" / name)
    return tmp_path


def test_a_table_of_all_predictors_is_written(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = "--dataset ds_00000000 --global-model gm_00000000 --local-model lm_00000000"
    sizes = "--windows 6 --horizon 5 --seeds 0 1"
    results = home / "results"
    command = f"fidelity --home {home} --results {results} {ids} {sizes}"
    monkeypatch.setattr(sys, "argv", command.split())
    fidelity.main()
    table = json.loads((results / "fidelity_ds_00000000.json").read_text())
    assert table["windows"] == 12
    assert {c["predictor"] for c in table["curves"]} == {"global", "local", "still"}
    assert {c["metric"] for c in table["curves"]} == {"psnr", "ssim", "gmsd"}
    assert all(len(c["mean"]) == 5 for c in table["curves"])
    assert (results / "fidelity_ds_00000000.png").stat().st_size > 10_000
    assert "last frame repeated" in capsys.readouterr().out


def test_contact_splits_every_step_by_what_happened_so_far() -> None:
    contact = np.array([[False, True, True], [False, False, False]])
    values = np.array([[1.0, 2, 3], [5, 6, 7]])
    arrays = {"global.psnr": values, "contact": contact, "episode": np.array([0, 1])}
    curves = {c["split"]: c for c in all_curves(arrays)}
    assert curves["all"]["mean"] == [3, 4, 5]
    assert curves["contact"]["mean"] == [None, 2, 3]
    assert curves["no contact yet"]["mean"] == [3, 6, 7]
    assert curves["contact"]["n"] == [0, 1, 1]
