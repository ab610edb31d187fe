"""The benchmark of the ranking reward, end to end with a tiny training."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import rewards


def test_every_seed_is_compared_with_progress_that_training_never_sees(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"--home {home} --results {home / 'results'} --dataset ds_00000000"
    command = f"rewards {where} --seeds 0 1 --steps 2 --goals 3"
    monkeypatch.setattr(sys, "argv", command.split())
    rewards.main()
    table = json.loads((home / "results" / "ranking_reward_push_disc.json").read_text())
    assert table["seeds"] == [0, 1]
    assert set(rewards.FIGURES) <= set(table["summary"][0])
    for row in table["rows"]:
        low, high = row["reward_vs_progress_interval"]
        assert -1 <= low <= row["reward_vs_progress"] <= high <= 1
    assert (home / "results" / "ranking_reward_push_disc.png").exists()
