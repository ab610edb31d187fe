"""The pipe that a job process lives by."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from core.stop_flag import StopFlag
from worker.lifeline import Lifeline


@dataclass
class Line:
    """A lifeline whose kill is only noted."""

    silence: float = 60.0
    grace: float = 0.3
    stopping: StopFlag = field(default_factory=StopFlag)
    killed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.reading, self.writing = os.pipe()
        options = (self.silence, self.grace, self.killed.set)
        self.thread = Lifeline(self.reading, self.stopping, *options)
        self.began = time.monotonic()

    def seconds_until_killed(self) -> float:
        assert self.killed.wait(10)
        return time.monotonic() - self.began


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.stopping.set()
    made.thread.join(10)
    os.close(made.reading)


def test_end_of_the_pipe_stops_the_job_then_kills_it(line: Line) -> None:
    line.thread.start()
    assert not line.stopping.wait(0.2)
    os.close(line.writing)
    assert line.stopping.wait(5)
    assert line.seconds_until_killed() >= 0.2 + line.grace


def test_silence_stops_the_job(line: Line) -> None:
    line.thread._silence = 0.4
    line.thread.start()
    assert line.stopping.wait(5)
    assert line.killed.wait(5)
    os.close(line.writing)


def test_bytes_keep_the_job_going(line: Line) -> None:
    line.thread._silence = 1.0
    line.thread.start()
    for _ in range(16):
        os.write(line.writing, b".")
        time.sleep(0.1)
    assert not line.stopping.is_set()
    os.close(line.writing)


def test_job_that_was_asked_to_stop_is_killed_after_its_grace(line: Line) -> None:
    line.thread.start()
    line.stopping.set()
    assert line.seconds_until_killed() >= line.grace
    os.close(line.writing)
