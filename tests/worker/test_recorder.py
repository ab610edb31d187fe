"""What a job process writes for others to read."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.recorder import Cancelled, Recorder
from core.stop_flag import StopFlag
from tests.jobs.makers import Clock
from worker.recorder import FileRecorder, Rate

Opened = Callable[[], FileRecorder]


@pytest.fixture
def stop() -> StopFlag:
    return StopFlag()


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def recorder(tmp_path: Path, stop: StopFlag, clock: Clock):  # type: ignore[no-untyped-def]
    opened = FileRecorder(tmp_path, stop, clock)
    yield opened
    opened.close()


def steps(run: Path) -> list[int]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_it_is_what_loops_expect(recorder: FileRecorder) -> None:
    assert isinstance(recorder, Recorder)


def test_record_can_be_read_at_once(recorder: FileRecorder, tmp_path: Path) -> None:
    recorder.scalars(3, {"global/loss": 0.5, "global/bad": math.nan, "global/worse": math.inf})
    record = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert (record["step"], record["values"]) == (3, {"global/loss": 0.5})
    assert record["time"] > 1e9


def test_rewind_forgets_later_steps_and_goes_on(recorder: FileRecorder, tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        recorder.scalars(step, {"loss": 1.0})
    recorder.rewind(2)
    recorder.scalars(3, {"loss": 2.0})
    assert steps(tmp_path) == [1, 2, 3]


@given(cut=st.integers(0, 120))
def test_what_a_killed_writer_left_is_cut_to_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    run = tmp_path_factory.mktemp("run")
    whole = [json.dumps({"step": n, "time": 1.0, "values": {"loss": 1.0}}) for n in (1, 2)]
    content = "".join(f"{line}\n" for line in whole)
    (run / "metrics.jsonl").write_text(content[:cut])
    recorder = FileRecorder(run, StopFlag())
    recorder.scalars(9, {"loss": 1.0})
    recorder.rewind(100)
    recorder.close()
    assert steps(run) == [n for n in (1, 2) if cut >= len(whole[0] + "\n") * n] + [9]


def test_progress_tells_the_time_left_from_its_own_rate(
    recorder: FileRecorder, tmp_path: Path, clock: Clock
) -> None:
    for done in (100, 110, 120):  # resumed at 100, 5 a second
        recorder.progress(done, 200, "training")
        clock.now += 2
    report = json.loads((tmp_path / "progress.json").read_text())
    assert (report["done"], report["total"], report["message"]) == (120, 200, "training")
    assert report["eta_seconds"] == pytest.approx(16)
    recorder.progress(200, 200)
    assert json.loads((tmp_path / "progress.json").read_text())["eta_seconds"] == 0


def test_progress_is_written_at_most_five_times_a_second_and_at_the_end(
    recorder: FileRecorder, tmp_path: Path, clock: Clock
) -> None:
    seen = set()
    for done in range(101):
        recorder.progress(done, 100)
        seen.add(json.loads((tmp_path / "progress.json").read_text())["done"])
        clock.now += 0.01
    assert len(seen) <= 7
    assert 100 in seen


@given(
    each=st.integers(1, 1000),
    pause=st.floats(0.01, 200),
    reports=st.integers(2, 50),
    more=st.integers(1, 1000),
)
def test_time_left_is_exact_at_constant_speed(
    each: int, pause: float, reports: int, more: int
) -> None:
    rate, total = Rate(), each * (reports - 1 + more)
    for n in range(reports):
        rate.add(n * pause, n * each, total)
    left = rate.seconds_left(each * (reports - 1), total)
    assert left == pytest.approx(more * pause)


def test_stop_is_raised_where_the_loop_asks(recorder: FileRecorder, stop: StopFlag) -> None:
    recorder.raise_if_cancelled()
    stop.set()
    with pytest.raises(Cancelled):
        recorder.raise_if_cancelled()
