"""Batches ahead of their turn."""

import itertools
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.training.feed import Feed, Waits

CPU = torch.device("cpu")


def numbered(step: int) -> dict[str, np.ndarray]:
    return {"rows": np.random.default_rng(step).integers(1000, size=4), "step": np.array(step)}


@given(steps=st.lists(st.integers(0, 6), max_size=12), stride=st.integers(0, 3))
def test_a_batch_does_not_depend_on_what_was_asked_before(steps: list[int], stride: int) -> None:
    feed = Feed(numbered, CPU, Waits(), stride)
    for step in steps:
        found = feed.batch(step)
        assert int(found["step"]) == step
        assert (found["rows"].numpy() == numbered(step)["rows"]).all()


def test_the_next_batch_is_made_by_another_thread_before_it_is_asked_for() -> None:
    made: dict[int, int] = {}
    ready = threading.Event()

    def make(step: int) -> dict[str, np.ndarray]:
        made[step] = threading.get_ident()
        if step == 7:
            ready.set()
        return numbered(step)

    feed = Feed(make, CPU, Waits(), stride=3)
    feed.batch(4)
    assert ready.wait(60)
    assert made[7] != made[4] == threading.get_ident()


def test_an_error_comes_up_at_the_step_it_belongs_to() -> None:
    def make(step: int) -> dict[str, np.ndarray]:
        if step == 2:
            raise OSError("the disk is gone")
        return numbered(step)

    feed = Feed(make, CPU, Waits())
    assert [int(feed.batch(step)["step"]) for step in (0, 1)] == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        feed.batch(2)
    assert int(feed.batch(3)["step"]) == 3


def test_wait_share_is_of_the_time_since_it_was_told_last(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.chain([0.0, 1.0, 3.0, 10.0, 12.0])
    clock = SimpleNamespace(perf_counter=lambda: next(ticks))
    monkeypatch.setattr("core.training.feed.time", clock)
    waits = Waits()
    with waits.waiting():
        pass
    assert waits.metric() == {"data/wait_share": 0.2}
    assert waits.metric() == {"data/wait_share": 0.0}
