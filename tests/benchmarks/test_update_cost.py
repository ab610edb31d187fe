"""The cost of updates end to end on small models, and how memory is counted."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import update_cost, updates
from benchmarks.updates import megabytes, seconds
from tests.benchmarks.conftest import IDS

CPU = torch.device("cpu")


def test_costs_ratios_and_directions_are_written(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small: dict[str, Any] = {
        "image_size": 16, "context": 2, "channels": (32, 32), "layers_per_block": 1,
        "num_denoising_steps": 2,
    }  # fmt: skip
    monkeypatch.setitem(updates.SIZES, "demo", small)
    monkeypatch.setitem(updates.ENVIRONMENTS, "demo", 2)
    sizes = "--sizes demo --horizons 4 --seeds 0 --repeats 1"
    command = f"update_cost --home {home} --results {home / 'results'} {sizes} {IDS}"
    monkeypatch.setattr(sys, "argv", command.split())
    update_cost.main()
    table = json.loads((home / "results" / "update_cost.json").read_text())
    assert [(line["size"], line["horizon"]) for line in table["summary"]] == [("demo", 4)]
    for line in table["summary"]:
        assert line["full_with_rollout_megabytes"]["mean"] > line["decoupled_megabytes"]["mean"] > 0
        assert line["full_with_rollout_seconds"]["mean"] > line["rollout_seconds"]["mean"] > 0
    assert [line["horizon"] for line in table["directions"]] == [4]
    for line in table["directions"]:
        assert all(
            -1.001 <= line[f"cosine_{k}"]["mean"] <= 1.001 for k in ("weights", "last_action")
        )
    assert (home / "results" / "update_cost.png").exists()


def test_memory_is_the_peak_of_what_was_held_at_once() -> None:
    def in_turn() -> None:
        for _ in range(4):
            torch.zeros(250_000)

    def at_once() -> list[torch.Tensor]:
        return [torch.zeros(250_000) for _ in range(4)]

    assert megabytes(in_turn, CPU) == pytest.approx(1.0, rel=0.05)
    assert megabytes(at_once, CPU) == pytest.approx(4.0, rel=0.05)


def test_models_are_given_all_together_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = f"update_cost --home {tmp_path} --dataset ds_00000000"
    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(SystemExit):
        update_cost.main()


def test_time_is_the_median_without_the_first_call() -> None:
    calls: list[int] = []

    def way() -> None:
        calls.append(1)
        torch.randn(200, 200) @ torch.randn(200, 200)

    assert seconds(way, 3, CPU) > 0
    assert len(calls) == 4
