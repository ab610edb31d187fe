"""Shortest ways to jobs in a given state."""

from core.jobs.ids import new_upload_id
from core.jobs.records import Artifact, Job, NewArtifact
from core.jobs.spec import GlobalModelSpec, IngestSpec, LocalModelSpec
from core.jobs.store import Store


class Clock:
    """Time that passes only when told."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def upload(store: Store) -> str:
    """Id of a registered upload."""
    return store.register_upload(new_upload_id(), "logs.npz", 1, "0" * 64).id


def ingest(store: Store) -> IngestSpec:
    return IngestSpec(upload=upload(store), name="logs")


def claimed(store: Store, job: Job, owner: str = "worker") -> Job:
    """The job, which must be ready, after a claim."""
    mine = store.claim(job.id, owner)
    assert mine is not None
    return mine


def succeeded(store: Store, job: Job) -> Job:
    mine = claimed(store, job)
    return store.succeed(mine.id, mine.epoch, {}, NewArtifact())


def dataset(store: Store) -> Artifact:
    """A dataset as a finished ingest leaves it in the database."""
    return store.get_artifact(succeeded(store, store.submit(ingest(store), "ingest")).output_id)


def training(store: Store, **options: int) -> LocalModelSpec:
    return LocalModelSpec(dataset=dataset(store).id, **options)


def two_in_a_row(store: Store) -> tuple[Job, Job]:
    """A queued ingest, and a global model that waits for it."""
    first = store.submit(ingest(store), "ingest")
    return first, store.submit(GlobalModelSpec(dataset=first.output_id), "model")
