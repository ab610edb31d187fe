"""What may become of a job."""

import threading
from collections.abc import Callable

import pytest

from core.jobs.errors import ArtifactNotFound, IllegalTransition, Lost
from core.jobs.records import ArtifactType, Job, JobState, NewArtifact
from core.jobs.spec import GlobalModelSpec
from core.jobs.store import Store
from tests.jobs.makers import Clock, claimed, ingest, succeeded, two_in_a_row


@pytest.fixture
def job(store: Store) -> Job:
    return store.submit(ingest(store), "ingest")


def test_one_of_racing_claims_wins(store: Store, job: Job) -> None:
    won: list[Job | None] = []
    barrier = threading.Barrier(8)

    def race(n: int) -> None:
        barrier.wait()
        won.append(store.claim(job.id, f"worker {n}"))

    threads = [threading.Thread(target=race, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [w for w in won if w is not None]
    assert (len(won), len(winners)) == (8, 1)
    assert winners[0].owner == store.get(job.id).owner
    assert (winners[0].epoch, winners[0].attempt) == (1, 1)


def test_beat_carries_progress_in_and_the_wish_to_cancel_out(store: Store, job: Job) -> None:
    mine = claimed(store, job)
    assert store.beat(mine.id, mine.epoch, {"done": 3, "total": 9}) is False
    assert store.get(job.id).progress == {"done": 3, "total": 9}
    store.request_cancel(job.id)
    assert store.beat(mine.id, mine.epoch) is True
    assert store.get(job.id).progress == {"done": 3, "total": 9}


def test_success_lists_the_artifact(store: Store, job: Job) -> None:
    mine = claimed(store, job)
    with pytest.raises(ArtifactNotFound):
        store.get_artifact(job.output_id)
    made = NewArtifact(summary={"episodes": 7}, lineage=("up_x",))
    ended = store.succeed(mine.id, mine.epoch, {"episodes": 7}, made)
    assert (ended.state, ended.result) == (JobState.SUCCEEDED, {"episodes": 7})
    artifact = store.get_artifact(job.output_id)
    assert (artifact.job_id, artifact.type) == (job.id, ArtifactType.DATASET)
    assert (artifact.summary, artifact.lineage) == ({"episodes": 7}, ("up_x",))
    assert store.list_artifacts(type=ArtifactType.DATASET) == [artifact]
    assert store.list_artifacts(type=ArtifactType.MODEL) == []


def test_job_cancelled_before_its_success_lists_nothing(store: Store, job: Job) -> None:
    mine = claimed(store, job)
    store.request_cancel(job.id)
    ended = store.succeed(mine.id, mine.epoch, {}, NewArtifact())
    assert (ended.state, store.list_artifacts()) == (JobState.CANCELLED, [])


@pytest.mark.parametrize("write", ["beat", "succeed", "fail", "cancelled", "release", "crashed"])
def test_no_write_of_an_old_claim_changes_anything(store: Store, job: Job, write: str) -> None:
    old = claimed(store, job)
    store.release(old.id, old.epoch)
    now = claimed(store, job)
    rest = {"succeed": ({}, NewArtifact()), "fail": ("no",), "crashed": ("no",)}
    with pytest.raises(Lost, match="claim 1"):
        getattr(store, write)(old.id, old.epoch, *rest.get(write, ()))
    assert store.get(job.id) == now
    assert store.list_artifacts() == []


def test_action_that_must_be_alone_runs_only_while_the_claim_is_valid(
    store: Store, job: Job
) -> None:
    mine, ran = claimed(store, job), []
    store.while_ours(mine.id, mine.epoch, lambda: ran.append(1))
    store.release(mine.id, mine.epoch)
    with pytest.raises(Lost):
        store.while_ours(mine.id, mine.epoch, lambda: ran.append(2))
    assert ran == [1]


def test_released_job_has_lost_no_attempt(store: Store, job: Job) -> None:
    for _ in range(5):
        mine = claimed(store, job)
        assert store.release(mine.id, mine.epoch).attempt == 0
    assert claimed(store, job).epoch == 6


def test_crashed_job_waits_ever_longer_then_fails_after_three_attempts(
    database_url: str, open_store: Callable[..., Store]
) -> None:
    clock = Clock()
    store = open_store(database_url, clock=clock)
    job = store.submit(ingest(store), "ingest")
    for pause in (10, 30):
        mine = claimed(store, job)
        again = store.crashed(mine.id, mine.epoch, "killed")
        assert (again.state, again.error) == (JobState.QUEUED, "killed")
        clock.now += pause - 1
        assert store.claim(job.id, "worker") is None
        assert store.ready_jobs() == []
        clock.now += 1
        assert [j.id for j in store.ready_jobs()] == [job.id]
    mine = claimed(store, job)
    ended = store.crashed(mine.id, mine.epoch, "killed")
    assert (ended.state, ended.error) == (JobState.FAILED, "killed; gave up after 3 attempts")


def test_cancelled_queued_job_never_starts(store: Store, job: Job) -> None:
    assert store.request_cancel(job.id).state is JobState.CANCELLED
    assert store.claim(job.id, "worker") is None
    assert store.request_cancel(job.id).state is JobState.CANCELLED


@pytest.mark.parametrize("end", ["release", "crashed"])
def test_cancelled_running_job_is_not_queued_again(store: Store, job: Job, end: str) -> None:
    mine = claimed(store, job)
    store.request_cancel(job.id)
    rest = ("killed",) if end == "crashed" else ()
    assert getattr(store, end)(mine.id, mine.epoch, *rest).state is JobState.CANCELLED


def test_finished_job_is_not_cancelled_or_retried(store: Store, job: Job) -> None:
    succeeded(store, job)
    with pytest.raises(IllegalTransition, match="succeeded already"):
        store.request_cancel(job.id)
    with pytest.raises(IllegalTransition, match="only a failed or cancelled job"):
        store.retry(job.id)


def test_failure_ends_all_that_wait_and_names_the_cause(store: Store) -> None:
    first, second = two_in_a_row(store)
    third = store.submit(ingest(store), "third", depends_on=[second.id])
    mine = claimed(store, first)
    store.fail(mine.id, mine.epoch, "episode 3 is empty")
    second, third = store.get(second.id), store.get(third.id)
    assert (second.state, second.ended_by) == (JobState.FAILED, first.id)
    assert second.error == f"'ingest' ({first.id}), which this job waits for, failed"
    assert (third.state, third.ended_by) == (JobState.FAILED, second.id)


def test_cancel_ends_all_that_wait(store: Store) -> None:
    first, second = two_in_a_row(store)
    store.request_cancel(first.id)
    assert store.get(second.id).state is JobState.CANCELLED


def test_retry_reopens_the_job_and_what_it_took_down(store: Store) -> None:
    first, second = two_in_a_row(store)
    mine = claimed(store, first)
    store.fail(mine.id, mine.epoch, "no")
    with pytest.raises(IllegalTransition, match=f"waits for {first.id}; retry that job first"):
        store.retry(second.id)
    again = store.retry(first.id)
    assert (again.state, again.attempt, again.error) == (JobState.QUEUED, 0, None)
    assert store.get(second.id).state is JobState.QUEUED
    succeeded(store, first)
    assert succeeded(store, second).state is JobState.SUCCEEDED


def test_retry_leaves_a_job_down_that_another_failure_holds(store: Store) -> None:
    one, two = store.submit(ingest(store), "one"), store.submit(ingest(store), "two")
    spec = GlobalModelSpec(dataset=one.output_id)
    both = store.submit(spec, "both", depends_on=[two.id])
    for job in (one, two):
        mine = claimed(store, job)
        store.fail(mine.id, mine.epoch, "no")
    store.retry(one.id)
    held = store.get(both.id)
    assert (held.state, held.ended_by) == (JobState.FAILED, two.id)
    store.retry(two.id)
    assert store.get(both.id).state is JobState.QUEUED
