"""What counts as a sign of life of a job process."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.jobs.spec import Kind
from tests.worker.conftest import wait_until
from worker.stall import Stall, processor_seconds
from worker.words import stall_reason

LIMIT = 900.0
SLEEPS = "sleep 600"
COMPUTES = "while :; do :; done"
CHILD_COMPUTES = f"sh -c '{COMPUTES}' & wait"


class Watched:
    """A process, and a clock that the test moves."""

    def __init__(self, script: str, run: Path) -> None:
        self.process = subprocess.Popen(["sh", "-c", script], start_new_session=True)
        self.now = 0.0
        self.stall = Stall(self.process.pid, run, LIMIT, lambda: self.now)

    def lasts_after(self, seconds: float) -> bool:
        self.now += seconds
        return self.stall.lasts()

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[[str], Watched]]:
    watched: list[Watched] = []

    def start(script: str) -> Watched:
        watched.append(Watched(script, tmp_path))
        return watched[-1]

    yield start
    for each in watched:
        each.end()


def test_process_that_waits_is_stalled_once_the_limit_is_over(
    watch: Callable[[str], Watched],
) -> None:
    waits = watch(SLEEPS)
    assert not waits.lasts_after(LIMIT - 1)
    assert waits.lasts_after(1)


@pytest.mark.parametrize("script", [COMPUTES, CHILD_COMPUTES])
def test_process_that_computes_is_not_stalled_nor_one_with_such_a_child(
    watch: Callable[[str], Watched], script: str
) -> None:
    computes = watch(script)
    wait_until(lambda: processor_seconds(computes.process.pid) > 1)
    assert not computes.lasts_after(LIMIT)
    wait_until(lambda: processor_seconds(computes.process.pid) > 2)
    assert not computes.lasts_after(LIMIT)


@pytest.mark.parametrize("name", ["progress.json", "metrics.jsonl"])
def test_report_is_a_sign_of_life(
    watch: Callable[[str], Watched], name: str, tmp_path: Path
) -> None:
    reports = watch(SLEEPS)
    assert not reports.lasts_after(LIMIT - 1)
    (tmp_path / name).write_text("{}")
    assert not reports.lasts_after(1)
    assert not reports.lasts_after(LIMIT - 1)
    assert reports.lasts_after(1)


def test_process_that_has_ended_uses_no_processor(watch: Callable[[str], Watched]) -> None:
    ended = watch("exit")
    ended.process.wait()
    assert processor_seconds(ended.process.pid) == 0
    assert not ended.lasts_after(1)


def test_reason_of_a_reader_carries_a_code() -> None:
    assert stall_reason(Kind.INGEST, 900).endswith("[decode_error]")
    assert stall_reason(Kind.POLICY, 900).startswith("the job process hung: for 15 minutes")
