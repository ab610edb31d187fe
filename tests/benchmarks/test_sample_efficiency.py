"""Sample efficiency end to end with tiny trainings, and what its figures mean."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import sample_efficiency
from benchmarks.contenders import Judging
from benchmarks.harness import Row
from benchmarks.learning_curves import ratios, summary_of
from benchmarks.machine import Run
from benchmarks.sample_efficiency import reached, timed
from core.evaluation.success import Outcome
from tests.benchmarks.conftest import IDS

SMALL = {"environments": 2, "horizon": 6, "max_age": 12}
OPTIONS = {
    "fog": SMALL | {"actor_updates": 1},
    "rssm_only": SMALL | {"actor_updates": 1},
    "ppo": SMALL | {"batch_size": 4, "epochs": 1},
    "behaviour_cloning": SMALL | {"steps": 4, "actor_updates": 1},
}
BUDGETS = "--frames fog=48 ppo=48 rssm_only=48"


def run(home: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> dict[str, Any]:
    command = f"sample_efficiency --home {home} --results {home / 'results'} {IDS} {BUDGETS}"
    sizes = "--episodes 2 --final-episodes 2 --points 2"
    options = ["--options", json.dumps(OPTIONS), *more]
    monkeypatch.setattr(sys, "argv", [*command.split(), *sizes.split(), *options])
    sample_efficiency.main()
    table: dict[str, Any] = json.loads(
        (home / "results" / "sample_efficiency_push_disc.json").read_text()
    )
    return table


def test_every_method_is_trained_and_judged_and_parts_are_merged(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(home, monkeypatch, "--seeds", "0", "--methods", "ppo", "behaviour_cloning")
    assert [line["method"] for line in first["summary"]] == ["ppo", "behaviour_cloning"]
    table = run(home, monkeypatch, "--seeds", "0", "--methods", "fog", "rssm_only")
    assert [r["method"] for r in table["rows"]] == [
        "fog", "ppo", "rssm_only", "behaviour_cloning",
    ]  # fmt: skip
    for row in table["rows"]:
        assert [p["step"] for p in row["curve"]] == [2, 4]
        assert row["total_frames"] == (0 if row["method"] == "behaviour_cloning" else 48)
        assert row["total_seconds"] >= row["curve"][0]["seconds"] > 0
    assert (home / "results" / "sample_efficiency_push_disc.png").stat().st_size > 10_000


def outcome(share: float) -> Outcome:
    won = np.arange(4) < 4 * share
    return Outcome(np.zeros(4), won, won)


def test_an_interrupted_run_keeps_its_curve_up_to_the_checkpoint(tmp_path: Path) -> None:
    curve = tmp_path / "curve.jsonl"
    judging = Judging(curve, None, lambda _: outcome(0.5), {2, 4})  # type: ignore[arg-type]
    for step in (1, 2, 3):
        judging.scalars(step, {"policy/imagined_frames": 10 * step})
        judging.scalars(step, {"policy/trust": 0.9})  # told apart: no rollout of its own
    with curve.open("a") as file:
        file.write('{"step": 4, "fra')  # killed while writing
    again = Judging(curve, None, lambda _: outcome(0.75), {2, 4})  # type: ignore[arg-type]
    again.rewind(2)
    assert [p["step"] for p in again.points] == [1, 2]
    again.scalars(3, {"policy/imagined_frames": 30})
    again.scalars(4, {"policy/imagined_frames": 40})
    stored = [json.loads(line) for line in curve.read_text().splitlines()]
    assert stored == again.points
    assert [p.get("success") for p in stored] == [None, 0.5, None, 0.75]
    seconds = [p["seconds"] for p in stored]
    assert seconds == sorted(seconds)


def point(success: float, frames: int) -> dict[str, float]:
    return {"success": success, "frames": frames, "seconds": frames / 10, "cpu_seconds": 0.0}


def test_the_target_is_reached_once_or_for_good() -> None:
    curve = [point(s, 10 * i) for i, s in enumerate((0.1, 0.6, 0.5, 0.7, 0.8, 0.9))]
    first, lasting = (reached(curve, n, "success", 0.6) for n in (1, 3))
    assert first is not None
    assert lasting is not None
    assert (first["frames"], lasting["frames"]) == (10, 30)
    assert reached(curve[:5], 3, "success", 0.6) is None


def test_another_measure_has_a_target_of_its_own() -> None:
    curve = [point(0.0, 10 * i) | {"passed": p} for i, p in enumerate((0.1, 0.4, 0.5))]
    judged = Row({}, {"curve": curve}, 1.0, Run({}, {}, ""))
    found = [timed(judged, *asked)["reached"] for asked in (("passed", 0.4), ("success", 0.4))]
    assert found == [{"frames": 10, "seconds": 1.0, "cpu_seconds": 0.0}, None]


def row(method: str, seed: int, frames: int | None) -> Row:
    got = None if frames is None else {"frames": frames, "seconds": frames / 10}
    settings = {"method": method, "seed": seed, "final_episodes": 4}
    final = {"final_success": 0.5, "final_ever": 0.5, "total_frames": 900, "total_seconds": 90.0}
    values = {"reached": got, "reached_and_stayed": None, **final}
    return Row(settings, values, 1.0, Run({}, {}, ""))


def test_seeds_that_never_get_there_are_said_and_bound_the_ratio() -> None:
    rows = [row("fog", 0, 10), row("fog", 1, 20), row("ppo", 0, 300), row("ppo", 1, None)]
    fog, ppo = summary_of(rows)
    assert (fog["reached"], ppo["reached"]) == ("2 of 2", "1 of 2")
    assert ppo["frames"] == {"mean": 300.0, "interval": None, "n": 1}
    assert ppo["stayed"] == "0 of 2"
    assert ppo["frames_stayed"] is None
    assert ratios(rows) == {"ppo": {"lower_bound": True, "frames": 40.0, "seconds": 40.0}}
    assert ratios([row("fog", 0, None), row("ppo", 0, 300)]) == {}


def test_a_measure_that_a_task_lacks_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(home, monkeypatch, "--measure", "passed")
    assert "push_disc has success alone" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["fog", "fog=", "fog=many", "sac=3"])
def test_a_budget_that_makes_no_sense_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(home, monkeypatch, "--frames", text)
    assert "is not METHOD=N" in capsys.readouterr().err
