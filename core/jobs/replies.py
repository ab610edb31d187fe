"""What the service answers: the API builds these models, the client parses them.

Fields the reader does not know are kept, so that an older client can talk to a newer service.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from core.jobs import html

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
"""Statuses that a job never leaves by itself."""


class Reply(BaseModel):
    """Base of all replies."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    _site: str = PrivateAttr("")
    """Where signed addresses lead, if a client knows it."""

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        shown = {f: v for f, v in self if not f.endswith("_url")}
        title = f"{type(self).__name__} {shown.pop('name', '')}".strip()
        return html.card(title, shown)


class Upload(Reply):
    """A tus upload; `sha256` is there once `offset` has reached `size`."""

    id: str
    filename: str
    size: int = Field(description="Bytes")
    offset: int = Field(description="Bytes received so far")
    sha256: str | None = None
    complete: bool


class StoredUpload(Reply):
    """A finished upload that takes up room."""

    id: str
    filename: str
    size: int = Field(description="Bytes")
    sha256: str
    created_at: datetime


class Progress(Reply):
    """How far a running job is; `eta_seconds` is None until it can be told."""

    done: int
    total: int
    message: str = ""
    time: float = Field(0.0, description="Unix seconds of the report")
    eta_seconds: float | None = None


class Cost(Reply):
    """What a finished job took of its machine."""

    peak_memory_bytes: int
    gpu_memory_bytes: int | None = None
    disk_bytes: int = Field(description="Its artifact and its last checkpoints")
    training_seconds: float | None = Field(
        None, description="From its first to its last metrics: what grows with its steps"
    )


class Job(Reply):
    """One job: what was asked, how far it is, what came of it."""

    id: str
    kind: str
    name: str
    status: str = Field(description="queued, running, succeeded, failed or cancelled")
    spec: dict[str, Any]
    output_id: str | None = Field(None, description="Artifact the job makes, named beforehand")
    depends_on: list[str] = Field(default_factory=list)
    waiting_for: list[str] = Field(
        default_factory=list, description="Jobs that must succeed before this one starts"
    )
    waiting: str | None = Field(
        None, description="What else keeps it from starting, such as: disk full, needs 512 MB"
    )
    pipeline_id: str | None = None
    attempt: int = 0
    cancel_requested: bool = False
    progress: Progress | None = None
    result: dict[str, Any] | None = None
    error: str | None = Field(None, description="Why it failed, and what to do")
    cost: Cost | None = Field(None, description="Of a job that succeeded")
    created_at: datetime
    started_at: datetime | None = Field(None, description="Start of the first attempt")
    finished_at: datetime | None = None
    seconds: float | None = Field(None, description="From start to finish, or to now")

    @property
    def ended(self) -> bool:
        """Whether the job is in a status that it never leaves by itself."""
        return self.status in TERMINAL

    def _repr_html_(self) -> str:
        shown: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "status": html.Html(html.badge(self.status)),
            "makes": self.output_id,
            "seconds": self.seconds,
            "error": self.error,
            "result": self.result,
            "spec": self.spec,
        }
        p = self.progress
        parts = [html.bar(p.done, p.total, p.message)] if p and not self.ended else []
        return html.card(f"Job {self.name}", shown, *parts)


class LogColumn(Reply):
    """A key of the logs, which a mapping may name."""

    key: str
    shape: list[int] = Field(description="Of one row")
    dtype: str
    names: list[str] = []
    unit: str | None = None


class Detection(Reply):
    """What an upload holds and how it would be read."""

    id: str
    upload: str
    format: str | None = None
    reasons: dict[str, str] = Field({}, description="What speaks for the format, or against all")
    layout: str = ""
    episodes: int = 0
    cameras: list[LogColumn] = []
    columns: list[LogColumn] = []
    fields: dict[str, str] = Field({}, description="The key that would be read for each field")
    ranges: dict[str, dict[str, list[float | None]]] = Field(
        {}, description="Field to `low` and `high` of each column, in the rows looked at"
    )
    fps: float | None = None
    action_kind: str | None = None
    action_kind_why: str = ""
    task: str | None = None
    units: dict[str, str] = {}
    notes: list[str] = []
    problem: str = Field("", description="Why it cannot be read as it is, and what to do")
    thumbnails: dict[str, list[str]] = Field(
        {}, description="Camera to first frames of some episodes as they would be stored, data URIs"
    )


class Dataset(Reply):
    """An ingested dataset; `meta` is its dataset.json (in the reply for one dataset)."""

    id: str
    name: str
    job_id: str
    created_at: datetime
    episodes: int | None = None
    frames: int | None = None
    meta: dict[str, Any] | None = None

    def _repr_html_(self) -> str:
        meta = self.meta or {}
        told = {f: meta.get(f) for f in ("fps", "action_kind", "task", "shapes", "units")}
        numbers = {"id": self.id, "episodes": self.episodes, "frames": self.frames}
        return html.card(f"Dataset {self.name}", {**numbers, **told, "created": self.created_at})


class Episode(Reply):
    """One episode of a dataset; `video_url` is signed and needs no header."""

    n: int
    length: int = Field(description="Frames")
    split: str = Field(description="train or validation")
    source: str = Field("", description="Where in the upload it came from")
    tags: list[str] = []
    video_url: str


class EpisodeData(Episode):
    """The numbers of one episode: T rows."""

    fps: float
    actions: list[list[float]] = Field(description="(T, A), the last row is zeros")
    state: list[list[float]] | None = Field(None, description="(T, S)")
    reward: list[float] | None = Field(None, description="(T,)")
    terminated: list[bool] | None = None
    success: list[bool] | None = None


class Metric(Reply):
    """One line of a run's metrics.jsonl."""

    line: int = Field(description="1 for the first line")
    step: int
    time: float = Field(description="Unix seconds")
    values: dict[str, float | None] = Field(description="None stands for not a number")


class Metrics(Reply):
    """Lines of a run's metrics; ask again with `after=next` for what came since."""

    items: list[Metric]
    next: int


class Model(Reply):
    """A trained model or policy; config, spec and lineage are in the reply for one model."""

    id: str
    name: str
    kind: str
    job_id: str
    created_at: datetime
    download_url: str | None = Field(None, description="Signed address of the folder as a zip")
    config: dict[str, Any] | None = None
    spec: dict[str, Any] | None = None
    lineage: dict[str, Any] | None = None
    result: dict[str, Any] | None = None


class Deleted(Reply):
    """What is no more; the files go with the next clearing up."""

    ids: list[str]


class LineageNode(Reply):
    """An artifact or an upload of a lineage."""

    id: str
    kind: str = Field(description="Kind of the job that made it, or upload")
    name: str
    job_id: str | None = None
    made_from: list[str] = []
    sha256: str | None = Field(None, description="Of an upload's bytes")


class RolloutItem(Reply):
    """One imagined rollout beside the real episode it starts from."""

    n: int
    kind: str = Field(description="replay (the logged actions) or policy")
    episode: int | None = None
    start: int | None = None
    psnr: list[float | None] | None = Field(None, description="dB per imagined step")
    static_psnr: list[float | None] | None = Field(
        None, description="dB per step of repeating the first frame"
    )
    reward_real: list[float | None] | None = None
    reward_imagined: list[float | None] | None = None
    psnr_dream: list[float | None] | None = Field(
        None, description="dB per step of the local model's own dream"
    )
    reward_dream: list[float | None] | None = None
    video_url: str = Field(description="Signed address of real and imagined side by side")
    real_url: str | None = None
    imagined_url: str | None = None
    dream_url: str | None = Field(None, description="The local model's own dream of it")
    difference_url: str | None = Field(
        None, description="Heat map of the difference between real and imagined"
    )


class Rollout(Reply):
    """Rendered imagined rollouts; `items` are in the reply for one rollout."""

    id: str
    name: str
    job_id: str
    created_at: datetime
    fps: float | None = None
    horizon: int | None = None
    items: list[RolloutItem] | None = None

    def _repr_html_(self) -> str:
        shown = {"id": self.id, "horizon": self.horizon, "fps": self.fps}
        videos = [
            html.video(f"{self._site}{i.video_url}", f"{i.n}: {i.kind}") for i in self.items or ()
        ]
        return html.card(f"Rollout {self.name}: real beside imagined", shown, *videos)


class Export(Reply):
    """A dataset or rollouts as LeRobot v3.0, or a policy as files that run; a zip to download."""

    id: str
    name: str
    job_id: str
    created_at: datetime
    kind: str = Field("export", description="export or policy_export")
    source: str | None = Field(None, description="Id of the dataset, rollouts or policy")
    result: dict[str, Any] = Field(
        description="files, bytes; episodes and frames, or formats and parity"
    )
    download_url: str = Field(description="Signed: needs no header")


class Webhook(Reply):
    """An address that is told of every ended job of the project."""

    id: str
    url: str
    created_at: datetime


class NewWebhook(Webhook):
    """With the secret that signs what it is told; it cannot be read again."""

    secret: str


class Delivery(Reply):
    """One thing told, or to be told, to a webhook."""

    id: str
    job_id: str = Field(description="Empty for a test")
    event: str = Field(description="job.succeeded, job.failed, job.cancelled or webhook.test")
    state: str = Field(description="pending, delivered or given_up")
    attempt: int
    status_code: int | None = Field(None, description="What the receiver answered last")
    error: str | None = Field(None, description="Why the last try failed")
    next_try_at: datetime | None = None
    created_at: datetime
    ended_at: datetime | None = None


class Evaluation(Reply):
    """The figures that an evaluate job found."""

    id: str
    name: str
    job_id: str
    created_at: datetime
    spec: dict[str, Any]
    result: dict[str, Any]


class Pipeline(Reply):
    """The jobs of one line, in order."""

    id: str
    jobs: list[Job]

    def output(self, kind: str) -> str | None:
        """Id of the artifact that the first job of this kind makes."""
        return next((j.output_id for j in self.jobs if j.kind == kind), None)


class Token(Reply):
    """A token without its secret; `scopes` are read, write or admin."""

    id: str
    project: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class NewToken(Reply):
    """A token that was just made; nobody can read `secret` again."""

    token: Token
    secret: str


class Worker(Reply):
    """A worker process; `job_id` only for a job of the caller's project."""

    id: str = Field(description="Host and process id")
    queues: list[str]
    gpus: list[dict[str, Any]] = Field([], description="index, name, memory in bytes, use 0 to 1")
    started_at: datetime
    seen_at: datetime
    alive: bool = Field(description="Seen within a minute")
    busy: bool
    job_id: str | None = None


class Storage(Reply):
    """Bytes on the service's disk."""

    kinds: dict[str, int] = Field(description="uploads, datasets, models, runs, …")
    total_bytes: int
    free_bytes: int
    disk_bytes: int
    uploaded_bytes: int = Field(description="The project's uploads, announced ones included")
    upload_quota_bytes: int | None = Field(None, description="None: the disk is the limit")


class Event(Reply):
    """One server-sent event of a job."""

    event: Literal["metric", "progress", "state"]
    data: dict[str, Any]
