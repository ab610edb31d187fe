"""Windows of a dataset against those of its logs, end to end on a small file."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import loader


def test_both_ways_read_the_same_windows_and_are_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "FRAMES", 12)
    monkeypatch.setattr(loader, "LAYOUTS", {"contiguous": {}})
    command = f"loader --home {tmp_path} --results {tmp_path} --seeds 0 --episodes 3 --batches 2"
    monkeypatch.setattr(sys, "argv", command.split())
    loader.main()
    (line,) = json.loads((tmp_path / "loader.json").read_text())["summary"]
    assert all(line[name]["mean"] > 0 for name in loader.FIGURES)
    assert not (tmp_path / "benchmarks" / "loader" / "scratch").exists()


def test_windows_that_differ_are_an_error() -> None:
    one = {"frames": np.zeros((1, 8, 4, 4, 3), np.uint8), "actions": np.zeros((1, 8, 2))}
    loader.check_equal(one, {**one, "actions": one["actions"] + np.eye(8)[-1][:, None]})
    with pytest.raises(ValueError, match="differ from those of its logs"):
        loader.check_equal(one, {**one, "frames": one["frames"] + 1})
