"""Putting jobs in."""

import threading

import pytest

from core.jobs.errors import IdempotencyConflict, JobNotFound, UnknownInput
from core.jobs.ids import new_output_id
from core.jobs.records import JobState
from core.jobs.spec import GlobalModelSpec, Kind, LocalModelSpec, PolicySpec
from core.jobs.store import Store, Submission
from tests.jobs.makers import claimed, dataset, ingest, succeeded, two_in_a_row


def test_submitted_job_is_queued_and_read_back(store: Store) -> None:
    job = store.submit(ingest(store), "my logs")
    assert store.get(job.id) == job
    assert (job.state, job.kind, job.name) == (JobState.QUEUED, Kind.INGEST, "my logs")
    assert job.output_id.startswith("ds_")


def test_unknown_job_is_not_found(store: Store) -> None:
    with pytest.raises(JobNotFound, match="job_0000000000000000"):
        store.get("job_0000000000000000")


def test_spec_with_input_that_does_not_exist_is_refused_by_field(store: Store) -> None:
    with pytest.raises(UnknownInput, match="dataset: 'ds_0123456789abcdef' does not exist") as told:
        store.submit(GlobalModelSpec(dataset="ds_0123456789abcdef"), "model")
    assert (told.value.field, told.value.identifier) == ("dataset", "ds_0123456789abcdef")
    assert store.list_jobs() == []


def test_input_of_another_kind_is_refused(store: Store) -> None:
    data = dataset(store)
    spec = PolicySpec(dataset=data.id, global_model=data.id, local_model=data.id)
    with pytest.raises(UnknownInput, match=r"global_model: .* is a dataset, not a global model"):
        store.submit(spec, "policy")


def test_training_goes_on_from_a_model_of_its_own_kind(store: Store) -> None:
    data = dataset(store)
    first = store.submit(GlobalModelSpec(dataset=data.id), "first")
    on = store.submit(GlobalModelSpec(dataset=data.id, start_from=first.output_id), "on")
    assert on.depends_on == (first.id,)
    with pytest.raises(UnknownInput, match=r"start_from: .* is a global model, not a local model"):
        store.submit(LocalModelSpec(dataset=data.id, start_from=first.output_id), "other")


def test_output_of_an_unfinished_job_becomes_a_dependency(store: Store) -> None:
    first, second = two_in_a_row(store)
    assert second.depends_on == (first.id,)
    assert [j.id for j in store.ready_jobs()] == [first.id]
    succeeded(store, first)
    assert [j.id for j in store.ready_jobs()] == [second.id]


def test_output_of_a_failed_job_is_refused(store: Store) -> None:
    first = store.submit(ingest(store), "ingest")
    store.request_cancel(first.id)
    with pytest.raises(UnknownInput, match=f"never made: its job {first.id} was cancelled"):
        store.submit(GlobalModelSpec(dataset=first.output_id), "model")
    with pytest.raises(UnknownInput, match="depends_on"):
        store.submit(ingest(store), "after", depends_on=[first.id])


def test_unknown_dependency_is_refused(store: Store) -> None:
    with pytest.raises(JobNotFound):
        store.submit(ingest(store), "after", depends_on=["job_0000000000000000"])


def test_pipeline_is_put_in_as_one_and_names_its_own_outputs(store: Store) -> None:
    data = new_output_id(Kind.INGEST)
    jobs = store.submit_many(
        [
            Submission(ingest(store), "ingest", output_id=data),
            Submission(GlobalModelSpec(dataset=data), "global"),
            Submission(LocalModelSpec(dataset=data), "local"),
        ]
    )
    assert jobs[0].output_id == data
    assert [j.depends_on for j in jobs] == [(), (jobs[0].id,), (jobs[0].id,)]
    assert {j.pipeline for j in jobs} == {jobs[0].id}
    assert store.list_jobs(pipeline=jobs[0].id) == jobs[::-1]


def test_pipeline_with_one_bad_spec_puts_nothing_in(store: Store) -> None:
    bad = GlobalModelSpec(dataset="ds_0123456789abcdef")
    with pytest.raises(UnknownInput):
        store.submit_many([Submission(ingest(store), "ingest"), Submission(bad, "global")])
    assert store.list_jobs() == []


def test_repeated_request_gets_the_job_of_before(store: Store) -> None:
    spec = ingest(store)
    first = store.submit(spec, "one", idem_key="k", body_hash="h", submitter="a")
    assert store.submit(spec, "one", idem_key="k", body_hash="h", submitter="a") == first
    with pytest.raises(IdempotencyConflict, match="'k'"):
        store.submit(spec, "two", idem_key="k", body_hash="other", submitter="a")
    other = store.submit(spec, "one", idem_key="k", body_hash="h", submitter="b")
    assert other.id != first.id


def test_repeated_pipeline_gets_the_jobs_of_before(store: Store) -> None:
    two = [Submission(ingest(store), "one"), Submission(ingest(store), "two")]
    jobs = store.submit_many(two, idem_key="k", body_hash="h")
    assert store.submit_many(two, idem_key="k", body_hash="h") == jobs


def test_racing_requests_with_one_key_make_one_job(store: Store) -> None:
    spec = ingest(store)
    made = []
    barrier = threading.Barrier(8)

    def post() -> None:
        barrier.wait()
        made.append(store.submit(spec, "one", idem_key="k", body_hash="h").id)

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == len(store.list_jobs()) == 1


def test_list_is_newest_first_and_pages_by_cursor(store: Store) -> None:
    spec = ingest(store)
    jobs = [store.submit(spec, str(n)) for n in range(5)]
    assert [j.name for j in store.list_jobs(limit=2)] == ["4", "3"]
    assert [j.name for j in store.list_jobs(limit=9, cursor=jobs[3].seq)] == ["2", "1", "0"]
    claimed(store, jobs[0])
    assert [j.name for j in store.list_jobs(state=JobState.RUNNING)] == ["0"]
    assert store.list_jobs(kind=Kind.POLICY) == []
    assert store.counts()[JobState.QUEUED] == 4
