"""The success benchmark end to end with a tiny training, and the list of all benchmarks."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest

from benchmarks import __main__, success
from core.jobs.spec import PolicySpec
from tests.benchmarks.conftest import IDS


@pytest.mark.slow
def test_every_seed_trains_and_is_judged_beside_references(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(success, "PolicySpec", partial(PolicySpec, steps=1, environments=2))
    monkeypatch.setattr("core.stages.evaluate.IMAGINED_STEPS", 2)
    command = f"success --home {home} --results {home / 'results'} {IDS} --seeds 0 1 --episodes 2"
    monkeypatch.setattr(sys, "argv", [*command.split(), "--cloning"])
    success.main()
    table = json.loads((home / "results" / "success.json").read_text())
    assert table["seeds"] == [0, 1]
    assert [line["policy"] for line in table["summary"]] == list(success.POLICIES.values())
    assert all(line["success"]["n"] == 4 for line in table["summary"])
    scripted = next(line for line in table["summary"] if line["policy"] == "script")
    assert scripted["success"]["mean"] == 1
    assert table["rows"][0]["imagined_frames"] == 2 * 16
    assert (home / "results" / "success.png").exists()


def test_the_list_names_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    __main__.main()
    listed = capsys.readouterr().out
    for name in ("success", "fidelity", "imagination_vs_reality", "sampler"):
        assert f"python -m benchmarks.{name}" in listed
    assert "harness" not in listed
