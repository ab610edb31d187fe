"""Clearing up takes what nothing needs, and nothing else."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.artifacts import Artifacts
from core.jobs.leftovers import Leftovers
from core.jobs.records import Job, NewArtifact
from core.jobs.store import Store
from tests.jobs.makers import claimed, training

DAY = 86_400.0


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path)


@pytest.fixture
def leftovers(store: Store, artifacts: Artifacts) -> Leftovers:
    return Leftovers(store, artifacts)


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "file").write_bytes(b"x" * 10)
    return path


def worked(store: Store, artifacts: Artifacts) -> tuple[Job, list[Path]]:
    """A running job with everything that an attempt leaves on disk."""
    job = claimed(store, store.submit(training(store), "train"))
    run = artifacts.run(job.id)
    places = [artifacts.checkpoints(job.id, 1) / "00000010", run / "attempt-1", run / ".left-1-0"]
    return job, [folder(p) for p in (*places, artifacts.model(job.output_id))]


def test_running_job_loses_nothing(
    store: Store, artifacts: Artifacts, leftovers: Leftovers
) -> None:
    _, places = worked(store, artifacts)
    assert leftovers.sweep() == 0
    assert all(p.exists() for p in places)


def test_succeeded_job_keeps_its_artifact_and_no_work(
    store: Store, artifacts: Artifacts, leftovers: Leftovers
) -> None:
    job, places = worked(store, artifacts)
    (artifacts.run(job.id) / "log.txt").write_text("said")
    store.succeed(job.id, job.epoch, {}, NewArtifact())
    assert leftovers.sweep() == 3
    assert [p.exists() for p in places] == [False, False, False, True]
    assert (artifacts.run(job.id) / "log.txt").read_text() == "said"
    assert list((artifacts.root / "trash").iterdir()) == []


def test_failed_job_keeps_its_checkpoints_for_a_while_and_no_artifact(
    store: Store, artifacts: Artifacts, leftovers: Leftovers
) -> None:
    job, places = worked(store, artifacts)
    store.fail(job.id, job.epoch, "no")
    assert leftovers.sweep() == 1
    assert [p.exists() for p in places] == [True, True, True, False]
    store.clock = lambda: time.time() + 15 * DAY
    assert leftovers.sweep() == 3
    assert not any(p.exists() for p in places)


def test_job_that_is_retried_meanwhile_loses_nothing(
    store: Store, artifacts: Artifacts, leftovers: Leftovers
) -> None:
    job, places = worked(store, artifacts)
    store.fail(job.id, job.epoch, "no")
    store.clock = lambda: time.time() + 15 * DAY
    found = leftovers.find()
    store.retry(job.id)
    assert [leftovers.remove(one) for one in found] == [False] * 4
    assert all(p.exists() for p in places)


def test_what_a_killed_sweep_left_is_removed_by_the_next(
    artifacts: Artifacts, leftovers: Leftovers
) -> None:
    left = folder(artifacts.root / "trash" / "gm_0000000000000000-1")
    assert leftovers.sweep() == 1
    assert not left.exists()


def test_folder_of_an_unknown_job_is_named_and_not_swept(
    artifacts: Artifacts, leftovers: Leftovers
) -> None:
    stranger = folder(artifacts.model("lm_" + "9" * 16))
    assert leftovers.sweep() == 0
    (found,) = leftovers.find_unknown()
    assert (found.path, found.size) == (stranger, 10)
    assert leftovers.remove(found)
    assert not stranger.exists()


def test_listed_artifacts_are_known(
    store: Store, artifacts: Artifacts, leftovers: Leftovers
) -> None:
    worked(store, artifacts)
    assert leftovers.find_unknown() == []


def test_needed_room_is_told_and_forgotten_at_the_start(
    store: Store, open_store: Callable[..., Store]
) -> None:
    job = claimed(store, store.submit(training(store), "train"))
    waits = store.defer(job.id, job.epoch, 1 << 30, 0.0)
    assert (waits.needs_bytes, waits.attempt) == (1 << 30, 0)
    assert claimed(store, waits).needs_bytes is None
