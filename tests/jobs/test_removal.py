"""What is needed cannot be deleted; what is deleted is needed by nothing that comes later."""

from pathlib import Path

import pytest

from core.artifacts import Artifacts
from core.jobs.errors import (
    ArtifactNotFound,
    IllegalTransition,
    StillNeeded,
    UnknownInput,
    UploadNotFound,
)
from core.jobs.leftovers import Leftovers
from core.jobs.records import Artifact, NewArtifact
from core.jobs.spec import (
    DetectSpec,
    GlobalModelSpec,
    LocalModelSpec,
    RolloutSpec,
    Spec,
    inputs,
)
from core.jobs.store import Store
from tests.jobs import makers


def made(store: Store, spec: Spec, name: str) -> Artifact:
    job = makers.claimed(store, store.submit(spec, name))
    store.succeed(job.id, job.epoch, {}, NewArtifact(lineage=tuple(inputs(spec).values())))
    return store.get_artifact(job.output_id)


def test_what_something_was_made_of_stays_and_is_named(store: Store) -> None:
    data = makers.dataset(store)
    model = made(store, GlobalModelSpec(dataset=data.id), "my world")
    with pytest.raises(StillNeeded, match=rf"{model.id} \(global_model 'my world'\)"):
        store.delete_artifact(data.id)
    assert store.get_artifact(data.id) == data


def test_all_that_was_made_of_it_goes_along_if_asked(store: Store) -> None:
    data, other = makers.dataset(store), makers.dataset(store)
    model = made(store, GlobalModelSpec(dataset=data.id), "world")
    rollout = made(store, RolloutSpec(dataset=data.id, global_model=model.id), "rollout")
    gone = store.delete_artifact(data.id, with_products=True)
    assert sorted(gone) == sorted([data.id, model.id, rollout.id])
    assert store.artifact_ids() == [other.id]


@pytest.mark.parametrize("state", ["queued", "running"])
def test_what_an_unfinished_job_reads_stays(store: Store, state: str) -> None:
    data = makers.dataset(store)
    model = made(store, GlobalModelSpec(dataset=data.id), "world")
    job = store.submit(RolloutSpec(dataset=data.id, global_model=model.id), "show")
    if state == "running":
        makers.claimed(store, job)
    for wanted in (model, data):
        with pytest.raises(StillNeeded, match=rf"{job.id} \(rollout 'show', {state}\)"):
            store.delete_artifact(wanted.id, with_products=True)


def test_what_is_deleted_cannot_be_named_or_deleted_again(store: Store) -> None:
    data = makers.dataset(store)
    assert store.delete_artifact(data.id) == [data.id]
    with pytest.raises(UnknownInput, match="was deleted"):
        store.submit(LocalModelSpec(dataset=data.id), "late")
    with pytest.raises(ArtifactNotFound):
        store.delete_artifact(data.id)


def test_a_job_whose_input_was_deleted_cannot_be_tried_again(store: Store) -> None:
    data = makers.dataset(store)
    job = makers.claimed(store, store.submit(LocalModelSpec(dataset=data.id), "bad luck"))
    store.fail(job.id, job.epoch, "out of memory")
    store.delete_artifact(data.id)
    with pytest.raises(IllegalTransition, match=f"reads {data.id}, which was deleted"):
        store.retry(job.id)
    assert store.get(job.id).state == "failed"


def test_nothing_of_another_project_is_deleted(store: Store) -> None:
    data = makers.dataset(store)
    with pytest.raises(ArtifactNotFound):
        store.of("others").delete_artifact(data.id)


def test_files_of_what_is_deleted_are_cleared_up(store: Store, tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    data, kept = makers.dataset(store), makers.dataset(store)
    previews = tmp_path / "cache" / "previews"
    for one in (data, kept):
        artifacts.dataset(one.id).mkdir(parents=True)
        (previews / one.id).mkdir(parents=True)
    store.delete_artifact(data.id)
    assert Leftovers(store, artifacts).sweep() == 2
    assert [p.name for p in (tmp_path / "datasets").iterdir()] == [kept.id]
    assert [p.name for p in previews.iterdir()] == [kept.id]


def test_removed_upload_leaves_its_datasets_and_its_hash(store: Store) -> None:
    spec = makers.ingest(store)
    data = made(store, spec, "logs")
    seen = made(store, DetectSpec(upload=spec.upload), "look")
    store.remove_upload(spec.upload)
    assert store.artifact_ids() == [data.id]
    with pytest.raises(ArtifactNotFound):
        store.get_artifact(seen.id)
    upload = store.get_upload(spec.upload)
    assert upload.removed_at is not None
    assert upload.sha256 == "0" * 64
    assert (store.list_uploads(), store.upload_sums(), store.uploaded_bytes()) == ([], [], 0)


def test_removed_upload_is_read_by_no_job_that_comes_later(store: Store) -> None:
    spec = makers.ingest(store)
    failed = makers.claimed(store, store.submit(spec, "bad luck"))
    with pytest.raises(StillNeeded, match=failed.id):
        store.remove_upload(spec.upload)
    store.fail(failed.id, failed.epoch, "out of memory")
    store.remove_upload(spec.upload)
    store.remove_upload(spec.upload)  # as after a crash in between
    with pytest.raises(UnknownInput, match="was removed; upload the logs again"):
        store.submit(spec, "late")
    with pytest.raises(IllegalTransition, match=f"reads {spec.upload}, which was deleted"):
        store.retry(failed.id)
    with pytest.raises(UploadNotFound):
        store.of("others").remove_upload(spec.upload)


def test_files_of_a_removal_that_was_killed_are_cleared_up(store: Store, tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    gone, kept = makers.upload(store), makers.upload(store)
    for one in (gone, kept):
        artifacts.upload(one).mkdir(parents=True)
    store.remove_upload(gone)
    assert Leftovers(store, artifacts).sweep() == 1
    assert [p.name for p in (tmp_path / "uploads").iterdir()] == [kept]
