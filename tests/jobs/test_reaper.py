"""Silent workers lose their jobs; working ones never do."""

from collections.abc import Callable

import pytest

from core.jobs.errors import StoreUnavailable
from core.jobs.reaper import Reaper
from core.jobs.records import Job, JobState, Silence
from core.jobs.store import Store
from tests.jobs.makers import Clock, claimed, ingest


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def reaper(store: Store, clock: Clock) -> Reaper:
    return Reaper(store, lease_seconds=60, clock=clock)


@pytest.fixture
def running(store: Store) -> Job:
    return claimed(store, store.submit(ingest(store), "ingest"))


def scans(reaper: Reaper, clock: Clock, seconds: int, before: Callable[[], object] = int) -> int:
    """Scan each 10 seconds; returns how many jobs were taken."""
    taken = 0
    for _ in range(seconds // 10):
        before()
        taken += len(reaper.scan())
        clock.now += 10
    return taken


def test_job_of_a_silent_worker_is_queued_after_the_lease(
    store: Store, reaper: Reaper, clock: Clock, running: Job
) -> None:
    assert scans(reaper, clock, 60) == 0
    (taken,) = reaper.scan()
    assert (taken.id, taken.state) == (running.id, JobState.QUEUED)
    assert "stopped responding" in str(taken.error)
    assert taken.not_before is not None


def test_job_of_a_beating_worker_is_never_taken(
    store: Store, reaper: Reaper, clock: Clock, running: Job
) -> None:
    assert scans(reaper, clock, 600, lambda: store.beat(running.id, running.epoch)) == 0


def test_verdict_on_a_worker_that_has_beaten_meanwhile_is_void(store: Store, running: Job) -> None:
    seen = Silence(id=running.id, epoch=running.epoch, hb_seq=running.hb_seq)
    store.beat(running.id, running.epoch)
    assert store.requeue_silent(seen, "silent") is None
    assert store.get(running.id).state is JobState.RUNNING


def test_reaper_that_was_paused_gives_a_full_lease(
    store: Store, reaper: Reaper, clock: Clock, running: Job
) -> None:
    reaper.scan()
    clock.now += 7200
    assert reaper.scan() == []
    clock.now += 30
    assert reaper.scan() == []


def test_database_outage_gives_a_full_lease(
    store: Store, reaper: Reaper, clock: Clock, running: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans(reaper, clock, 50)

    def away() -> list[Silence]:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(store, "running", away)
        with pytest.raises(StoreUnavailable):
            reaper.scan()
    clock.now += 10
    assert scans(reaper, clock, 60) == 0
    assert len(reaper.scan()) == 1


def test_job_whose_workers_die_three_times_fails_with_a_reason(
    database_url: str, open_store: Callable[..., Store]
) -> None:
    wall, clock = Clock(), Clock(0.0)
    store = open_store(database_url, clock=wall)
    reaper = Reaper(store, lease_seconds=60, clock=clock)
    job = store.submit(ingest(store), "ingest")
    for _ in range(3):
        claimed(store, job)
        scans(reaper, clock, 70)
        wall.now += 60
    ended = store.get(job.id)
    assert ended.state is JobState.FAILED
    assert str(ended.error).endswith("gave up after 3 attempts")


def test_two_reapers_take_a_job_once(store: Store, clock: Clock, running: Job) -> None:
    reapers = [Reaper(store, lease_seconds=60, clock=clock) for _ in range(2)]
    taken = 0
    for _ in range(8):
        taken += sum(len(r.scan()) for r in reapers)
        clock.now += 10
    assert taken == 1
    assert store.get(running.id).attempt == 1
