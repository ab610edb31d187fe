"""What the store hands out: frozen copies of rows."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from core.jobs.spec import Kind

Json = dict[str, JsonValue]


class JobState(StrEnum):
    """Only `running` goes back to `queued`; a user's retry alone reopens a failed or cancelled job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class ArtifactType(StrEnum):
    DATASET = "dataset"
    MODEL = "model"
    ROLLOUT = "rollout"
    EVALUATION = "evaluation"
    EXPORT = "export"
    DETECTION = "detection"


ARTIFACT_TYPES: dict[Kind, ArtifactType] = {
    Kind.DETECT: ArtifactType.DETECTION,
    Kind.INGEST: ArtifactType.DATASET,
    Kind.DERIVE: ArtifactType.DATASET,
    Kind.GLOBAL_MODEL: ArtifactType.MODEL,
    Kind.LOCAL_MODEL: ArtifactType.MODEL,
    Kind.POLICY: ArtifactType.MODEL,
    Kind.EVALUATE: ArtifactType.EVALUATION,
    Kind.ROLLOUT: ArtifactType.ROLLOUT,
    Kind.EXPORT: ArtifactType.EXPORT,
    Kind.POLICY_EXPORT: ArtifactType.EXPORT,
}


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Job(Record):
    """One row of `jobs`. Times are Unix seconds."""

    seq: int
    """Grows with every job; the cursor of a listing."""
    id: str
    project: str
    kind: Kind
    name: str
    spec: Json
    output_id: str
    pipeline: str | None = None
    """Id of the first job of the pipeline this one was submitted with."""
    state: JobState
    epoch: int
    """Number of the claim; every write of a worker carries it."""
    owner: str | None = None
    hb_seq: int
    attempt: int
    max_attempts: int
    cancel_requested: bool
    not_before: float | None = None
    needs_bytes: int | None = None
    """Room on the disk that a queued job waits for."""
    progress: Json | None = None
    result: Json | None = None
    error: str | None = None
    ended_by: str | None = None
    """The dependency whose failure or cancellation ended this job."""
    submitter: str = ""
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    depends_on: tuple[str, ...] = ()


class ReadyJob(Record):
    """A queued job that a worker may claim now."""

    id: str
    kind: Kind


class EndedJob(Record):
    """A job in a final state, as clearing up looks at it."""

    id: str
    output_id: str
    state: JobState
    finished_at: float | None


class Silence(Record):
    """A running job as the reaper looks at it."""

    id: str
    epoch: int
    hb_seq: int


class RunningJob(Silence):
    """A running job as metrics show it."""

    kind: Kind
    started_at: float | None


class Waiting(Record):
    """Ready jobs of a queue: how many, and seconds since the oldest was put in."""

    jobs: int = 0
    oldest_seconds: float = 0.0

    def and_more(self, jobs: int, oldest_seconds: float) -> "Waiting":
        """With those of another kind."""
        return Waiting(
            jobs=self.jobs + jobs, oldest_seconds=max(self.oldest_seconds, oldest_seconds)
        )


class Overview(Record):
    """The installation at `now`, Unix seconds."""

    now: float
    counts: dict[tuple[Kind, JobState], int]
    waiting: dict[str, Waiting]
    running: tuple[RunningJob, ...]


class NewArtifact(Record):
    """What a finished job publishes; its id, type and kind follow from the job."""

    summary: Json = Field(default_factory=dict)
    lineage: tuple[str, ...] = ()


class Artifact(Record):
    """A dataset, model, rollout, evaluation or export that is complete on disk."""

    seq: int
    id: str
    project: str
    type: ArtifactType
    kind: Kind
    name: str
    job_id: str
    summary: Json
    lineage: tuple[str, ...]
    """Ids of the inputs it was made from."""
    created_at: float


class Upload(Record):
    """A finished upload; its bytes may have been removed since."""

    id: str
    project: str
    filename: str
    size: int
    sha256: str
    created_at: float
    removed_at: float | None = None


class Project(Record):
    """Whose rows are whose; `upload_quota` in bytes, None: as the service's setting says."""

    name: str
    upload_quota: int | None
    created_at: float


class Gpu(Record):
    """One GPU of a worker; memory in bytes, `use` from 0 to 1."""

    index: int
    name: str
    memory_used: int
    memory_total: int
    use: float


class Worker(Record):
    """A worker process as it last spoke up, and the job it holds."""

    id: str
    """Host and process id; the owner of the jobs it runs."""
    queues: tuple[str, ...]
    gpus: tuple[Gpu, ...] = ()
    started_at: float
    seen_at: float
    job_id: str | None = None
    """Only if the job may be seen."""
    busy: bool = False


class Webhook(Record):
    """An address that is told of every ended job of a project; its secret signs what is told."""

    id: str
    project: str
    url: str
    secret: str = Field(repr=False)
    created_at: float


class Delivery(Record):
    """One thing told, or to be told, to a webhook."""

    seq: int
    id: str
    webhook_id: str
    job_id: str
    event: str
    """job.succeeded, job.failed or job.cancelled."""
    payload: Json
    state: str
    """pending, delivered or given_up."""
    attempt: int
    not_before: float
    status_code: int | None = None
    """What the receiver answered last."""
    error: str | None = None
    created_at: float
    ended_at: float | None = None


SCOPES = ("read", "write", "admin")
"""What a token may allow; a later one includes those before it."""


class Token(Record):
    """A caller's credential without its secret."""

    id: str
    project: str
    name: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None

    def allows(self, scope: str) -> bool:
        """Whether one of its scopes is `scope` or includes it."""
        return any(SCOPES.index(s) >= SCOPES.index(scope) for s in self.scopes)

    def valid_at(self, now: float) -> bool:
        """Neither revoked nor expired. `now`: Unix seconds."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)
