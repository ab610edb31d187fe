"""A project's rows do not exist for another one."""

import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text

from core.jobs.errors import (
    ArtifactNotFound,
    JobNotFound,
    ProjectNotFound,
    QuotaExceeded,
    TokenNotFound,
    UnknownInput,
    UploadNotFound,
)
from core.jobs.ids import new_upload_id
from core.jobs.migrate import upgrade
from core.jobs.spec import GlobalModelSpec, IngestSpec
from core.jobs.store import Store
from core.jobs.tables import metadata
from tests.jobs.makers import Clock, dataset, ingest, succeeded, upload


@pytest.fixture
def two(store: Store) -> tuple[Store, Store]:
    for name in ("ours", "theirs"):
        store.add_project(name)
    return store.of("ours"), store.of("theirs")


def test_every_table_of_things_knows_the_project() -> None:
    """A delivery is reached by its webhook, which has one."""
    without = {t.name for t in metadata.sorted_tables if "project" not in t.c}
    assert without == {"deliveries", "job_dependencies", "projects", "workers"}


def test_rows_of_another_project_are_not_there(two: tuple[Store, Store]) -> None:
    ours, theirs = two
    given = upload(theirs)
    job = theirs.submit(IngestSpec(upload=given, name="logs"), "logs")
    made = succeeded(theirs, job)
    waiting = theirs.submit(GlobalModelSpec(dataset=made.output_id), "model")
    for ask in (ours.get, ours.request_cancel, ours.retry):
        with pytest.raises(JobNotFound):
            ask(waiting.id)
    with pytest.raises(ArtifactNotFound):
        ours.get_artifact(made.output_id)
    with pytest.raises(UploadNotFound):
        ours.get_upload(given)
    assert not ours.has_upload(given)
    assert ours.list_jobs() == ours.list_artifacts() == ours.ready_jobs() == []
    assert sum(ours.counts().values()) == 0
    assert ours.folder_ids() == frozenset()
    assert ours.uploaded_bytes() == 0
    assert [j.id for j in theirs.list_jobs()] == [waiting.id, job.id]


def test_jobs_take_no_inputs_from_another_project(two: tuple[Store, Store]) -> None:
    ours, theirs = two
    with pytest.raises(UnknownInput):
        ours.submit(IngestSpec(upload=upload(theirs), name="logs"), "logs")
    with pytest.raises(UnknownInput):
        ours.submit(GlobalModelSpec(dataset=dataset(theirs).id), "model")
    unfinished = theirs.submit(ingest(theirs), "logs")
    with pytest.raises(UnknownInput):
        ours.submit(GlobalModelSpec(dataset=unfinished.output_id), "model")
    with pytest.raises(JobNotFound):
        ours.submit(ingest(ours), "logs", [unfinished.id])


def test_worker_sees_all_and_what_it_makes_stays_in_the_project(
    store: Store, two: tuple[Store, Store]
) -> None:
    ours, theirs = two
    job = ours.submit(ingest(ours), "logs")
    assert [j.id for j in store.ready_jobs()] == [job.id]
    made = succeeded(store, job)
    assert ours.get_artifact(made.output_id).project == "ours"
    assert theirs.list_artifacts() == []


def test_token_belongs_to_a_project_and_is_managed_in_it(two: tuple[Store, Store]) -> None:
    ours, theirs = two
    made, secret = theirs.issue_token("robot", scopes=["admin"])
    found = ours.check_token(secret)
    assert found == made
    assert found.project == "theirs"
    assert ours.list_tokens() == []
    with pytest.raises(TokenNotFound):
        ours.revoke_token(made.id)
    assert theirs.valid_token(made.id) is not None
    theirs.revoke_token(made.id)
    assert theirs.valid_token(made.id) is None


def test_higher_scope_includes_lower(store: Store) -> None:
    allowed = {
        scope: [s for s in ("read", "write", "admin") if made.allows(s)]
        for scope in ("read", "write", "admin")
        for made, _ in [store.issue_token("t", scopes=[scope])]
    }
    assert allowed == {
        "read": ["read"],
        "write": ["read", "write"],
        "admin": ["read", "write", "admin"],
    }


def test_unknown_project_gets_neither_token_nor_upload(store: Store) -> None:
    with pytest.raises(ProjectNotFound):
        store.of("nobody").create_token("t")
    with pytest.raises(ProjectNotFound):
        store.of("nobody").announce_upload(new_upload_id(), 1, None)
    with pytest.raises(ValueError, match="project name"):
        store.add_project("../etc")


def test_quota_holds_under_racing_uploads(store: Store) -> None:
    store.add_project("ours", upload_quota=1000)
    ours, accepted = store.of("ours"), []

    def announce() -> None:
        for _ in range(5):
            try:
                ours.announce_upload(upload_id := new_upload_id(), 90, None)
            except QuotaExceeded:
                continue
            accepted.append(upload_id)

    threads = [threading.Thread(target=announce) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(accepted) == 11
    assert ours.uploaded_bytes() == 990
    ours.register_upload(accepted[0], "logs.zip", 90, "0" * 64)
    assert ours.uploaded_bytes() == 990
    ours.forget_uploads(accepted[1:])
    assert ours.uploaded_bytes() == 90
    assert store.of("default").uploaded_bytes() == 0


def test_announced_upload_keeps_its_project_when_the_service_finishes_it(store: Store) -> None:
    store.add_project("ours")
    ours = store.of("ours")
    ours.announce_upload(upload_id := new_upload_id(), 3, 10)
    assert ours.has_upload(upload_id)
    assert not store.of("default").has_upload(upload_id)
    assert store.register_upload(upload_id, "logs.zip", 3, "0" * 64).project == "ours"


def test_default_project_exists_and_has_no_quota_of_its_own(store: Store) -> None:
    with pytest.raises(QuotaExceeded):
        store.announce_upload(new_upload_id(), 11, 10)
    store.announce_upload(new_upload_id(), 10, 10)
    assert [(p.name, p.upload_quota) for p in store.list_projects()] == [("default", None)]


def test_workers_are_listed_with_their_jobs_and_forgotten_after_a_day(
    sqlite_url: str, open_store: Callable[..., Store]
) -> None:
    clock = Clock()
    store = open_store(sqlite_url, clock=clock)
    store.add_project("ours")
    ours = store.of("ours")
    job = ours.submit(ingest(ours), "logs")
    store.worker_seen("host:1", ["ingest"])
    store.worker_seen("host:2", ["gpu"])
    assert store.claim(job.id, "host:1") is not None
    told = {w.id: (w.queues, w.busy, w.job_id) for w in ours.list_workers()}
    assert told == {"host:1": (("ingest",), True, job.id), "host:2": (("gpu",), False, None)}
    hidden = store.of("default").list_workers()[0]
    assert (hidden.busy, hidden.job_id) == (True, None)
    store.worker_left("host:2")
    clock.now += 100_000
    store.worker_seen("host:3", ["gpu"])
    assert [w.id for w in store.list_workers()] == ["host:3"]


def test_token_from_before_projects_opens_the_default_one(
    tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    upgrade(url, "0001")
    old = open_store(url)
    row = "INSERT INTO tokens VALUES ('tok_1', 'old', :sha256, '[\"read\"]', 0, NULL, NULL)"
    digest = sha256(b"fog_secret").hexdigest()
    old.database.write(lambda c: c.execute(text(row), {"sha256": digest}))
    upgrade(url)
    token = old.check_token("fog_secret")
    assert token is not None
    assert (token.project, token.scopes) == ("default", ("read",))
