"""When workers are told about ready jobs."""

import pytest

from core.jobs.hints import TASKS, Hints
from core.jobs.spec import Kind
from core.jobs.store import Store
from tests.jobs.makers import Clock, claimed, ingest, two_in_a_row


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def hints(store: Store, clock: Clock) -> Hints:
    return Hints(store, first_after=1, again_after=15, clock=clock)


def test_every_kind_has_a_task_of_its_own() -> None:
    assert len(set(TASKS.values())) == len(Kind)


def test_ready_job_is_hinted_after_a_second_and_then_every_fifteen(
    store: Store, hints: Hints, clock: Clock
) -> None:
    store.submit(ingest(store), "ingest")
    told = []
    for _ in range(33):
        told += [clock.now] * len(hints.due())
        clock.now += 1
    assert told == [1, 16, 31]


def test_waiting_and_running_jobs_are_not_hinted(store: Store, hints: Hints, clock: Clock) -> None:
    first, _ = two_in_a_row(store)
    claimed(store, first)
    for _ in range(3):
        assert hints.due() == []
        clock.now += 10


def test_job_that_comes_back_is_hinted_again(store: Store, hints: Hints, clock: Clock) -> None:
    job = store.submit(ingest(store), "ingest")
    hints.due()
    clock.now += 1
    assert [j.id for j in hints.due()] == [job.id]
    mine = claimed(store, job)
    hints.due()
    store.release(mine.id, mine.epoch)
    hints.due()
    clock.now += 1
    assert [j.id for j in hints.due()] == [job.id]
