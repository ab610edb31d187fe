"""Metrics in TensorBoard's own files, and never in the job's way."""

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.jobs.spec import IngestSpec
from core.recorder import Recorder
from core.stop_flag import StopFlag
from tests.training.makers import policy_spec
from worker.mirrors import MLFLOW, TENSORBOARD, Mirrored, TensorBoard, sinks
from worker.recorder import FileRecorder

JOB = "job_0123456789abcdef"


def recorder(run: Path, home: Path) -> Mirrored:
    run.mkdir(parents=True, exist_ok=True)
    written = FileRecorder(run, StopFlag())
    return Mirrored(written, sinks(policy_spec(), JOB, home))


def curve(home: Path) -> list[tuple[int, float]]:
    events = EventAccumulator(str(home / "tensorboard" / JOB))
    events.Reload()
    return [(e.step, round(e.value, 4)) for e in events.Scalars("policy/return")]


def lines(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_tensorboard_reads_the_curve_and_forgets_with_a_resumed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TENSORBOARD, "1")
    first = recorder(tmp_path / "run", tmp_path)
    assert isinstance(first, Recorder)
    for step in (1, 2, 3, 4):
        first.scalars(step, {"policy/return": step / 10, "policy/bad": float("nan")})
    first.close()
    assert curve(tmp_path) == [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]
    again = recorder(tmp_path / "run", tmp_path)
    again.rewind(2)
    again.scalars(3, {"policy/return": 7.0})
    again.close(well=True)
    assert curve(tmp_path) == [(1, 0.1), (2, 0.2), (3, 7.0)]
    assert lines(tmp_path / "run") == [1, 2, 3]


def test_nothing_is_mirrored_unless_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TENSORBOARD, raising=False)
    monkeypatch.delenv(MLFLOW, raising=False)
    assert list(sinks(policy_spec(), JOB, tmp_path)) == []
    monkeypatch.setenv(TENSORBOARD, "1")
    assert list(sinks(IngestSpec(upload="up_00000000", name="logs"), JOB, tmp_path)) == []


def test_a_tool_that_is_away_or_fails_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tensorboard").write_text("in the way")
    monkeypatch.setenv(TENSORBOARD, "1")
    told = recorder(tmp_path / "run", tmp_path)
    told.scalars(1, {"policy/return": 1.0})
    told.close()
    assert "TensorBoard is left out" in caplog.text
    monkeypatch.setenv(MLFLOW, "http://127.0.0.1:9")
    assert list(sinks(policy_spec(), JOB, tmp_path)) == []
    assert "MLflow is left out" in caplog.text

    class Broken(TensorBoard):
        def scalars(self, *_: object) -> None:
            raise OSError("disk quota")

    written = FileRecorder(tmp_path / "run", StopFlag())
    spoilt = Mirrored(written, [Broken(tmp_path / "b")])
    spoilt.scalars(2, {"policy/return": 1.0})
    spoilt.scalars(3, {"policy/return": 1.0})
    spoilt.close()
    assert lines(tmp_path / "run") == [1, 2, 3]
    assert caplog.text.count("is told nothing more: disk quota") == 1
