"""Submit, read, cancel and retry jobs; their metrics, events and logs."""

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from anyio import sleep
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic.json_schema import SkipJsonSchema

from api.deps import (
    CallerDep,
    CursorQuery,
    IdempotencyKey,
    LimitQuery,
    Services,
    ServicesDep,
    known_id,
    look_up,
)
from api.errors import field_errors
from api.events import JobNews
from api.files import read_metrics, tail
from api.views import job_replies
from core.jobs import presets, replies
from core.jobs.presets import Preset
from core.jobs.records import Job, JobState
from core.jobs.replies import TERMINAL, Reply
from core.jobs.spec import SPECS, ArtifactId, Kind, Name, Spec

router = APIRouter(prefix="/jobs", tags=["jobs"])


class NewJob(BaseModel):
    """With a preset, `spec` holds only what differs from it."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    spec: dict[str, JsonValue] = Field(
        default_factory=dict, description="Fields as in the kind's schema of GET /specs"
    )
    preset: Preset | None = None
    name: Name | None = None
    depends_on: list[ArtifactId] = Field(default_factory=list, max_length=32)


class JobPage(Reply):
    """One page; `next` is the cursor of the page after it."""

    items: list[replies.Job]
    next: int | None


def body_hash(route: str, body: BaseModel) -> str:
    """What an idempotency key stands for."""
    return hashlib.sha256(f"{route}\n{body.model_dump_json()}".encode()).hexdigest()


def _answer(job: replies.Job, status: int) -> Response:
    """As the contract says; checking our own model again would take another thread's turn."""
    return Response(job.model_dump_json(), status, media_type="application/json")


@router.post("", status_code=202, response_model=replies.Job)
def submit(
    body: NewJob, s: ServicesDep, caller: CallerDep, idempotency_key: IdempotencyKey = None
) -> Response:
    """Queue a job. 422 names the wrong field of the spec, or the input that does not exist."""
    spec = _spec(body)
    job = s.store.submit(
        spec,
        body.name or getattr(spec, "name", None) or body.kind.replace("_", " "),
        body.depends_on,
        idem_key=idempotency_key,
        body_hash=body_hash("jobs", body),
        submitter=caller.id,
    )
    return _answer(job_replies(s, [job])[0], 202)


@router.get("")
def list_jobs(
    s: ServicesDep,
    status: JobState | None = None,
    kind: Kind | None = None,
    pipeline: Annotated[ArtifactId | None, Query(description="Jobs of one pipeline")] = None,
    limit: LimitQuery = 100,
    cursor: CursorQuery = None,
) -> JobPage:
    """Newest first."""
    found = s.store.list_jobs(
        state=status, kind=kind, pipeline=pipeline, cursor=cursor, limit=limit
    )
    return JobPage(items=job_replies(s, found), next=found[-1].seq if len(found) == limit else None)


def known_job(job_id: str, s: ServicesDep) -> Job:
    """The job in the path; 404 before a stream has begun."""
    return s.store.get(known_id(job_id))


JobDep = Annotated[Job, Depends(known_job)]


@router.get("/{job_id}", response_model=replies.Job)
async def get_job(job_id: str, s: ServicesDep) -> Response:
    """One job."""
    return await look_up(s, _found, s, job_id)


def _found(s: Services, job_id: str) -> Response:
    return _answer(job_replies(s, [known_job(job_id, s)])[0], 200)


@router.post("/{job_id}/cancel")
def cancel(job: JobDep, s: ServicesDep) -> replies.Job:
    """A queued job is cancelled at once, a running one stops within seconds."""
    return job_replies(s, [s.store.request_cancel(job.id)])[0]


@router.post("/{job_id}/retry", status_code=202)
def retry(job: JobDep, s: ServicesDep) -> replies.Job:
    """Queue a failed or cancelled job again; it goes on from its last checkpoint."""
    return job_replies(s, [s.store.retry(job.id)])[0]


@router.get("/{job_id}/metrics")
def get_metrics(
    job: JobDep,
    s: ServicesDep,
    after: Annotated[int, Query(ge=0, le=2**53, description="Lines that are known already")] = 0,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 20_000,
) -> replies.Metrics:
    """Metric lines after line `after`."""
    items = read_metrics(s.artifacts.run(job.id) / "metrics.jsonl", after, limit)
    return replies.Metrics(items=items, next=items[-1].line if items else after)


@router.get("/{job_id}/log", response_class=PlainTextResponse)
def get_log(
    job: JobDep, s: ServicesDep, lines: Annotated[int, Query(ge=1, le=5000, alias="tail")] = 200
) -> PlainTextResponse:
    """The last lines that the job's process wrote."""
    return PlainTextResponse(tail(s.artifacts.run(job.id) / "log.txt", lines))


@router.get("/{job_id}/events", response_class=EventSourceResponse)
async def stream_events(
    job: JobDep,
    s: ServicesDep,
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    last_event_id: Annotated[
        int | SkipJsonSchema[None],
        Header(ge=0, le=2**53, description="Last metric line that was received"),
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """`metric`, `progress` and `state` events until the job has ended.

    Their data are a Metric, a Progress and a Job. Metric lines come after line `after`, or after
    `Last-Event-ID` when a client reconnects.
    """
    news = JobNews(s, job.id, after if last_event_id is None else last_event_id)
    while True:
        for event in await run_sync(news.read):
            line = str(event.data["line"]) if event.event == "metric" else None
            yield ServerSentEvent(event=event.event, data=event.data, id=line)
            if event.event == "state" and event.data["status"] in TERMINAL:
                return
        await sleep(s.settings.event_seconds)


def _spec(body: NewJob) -> Spec:
    preset = presets.overrides(body.preset, body.kind) if body.preset else {}
    fields: dict[str, Any] = {"kind": body.kind.value, **preset, **body.spec}
    try:
        return SPECS[body.kind].model_validate(fields)
    except ValidationError as error:
        raise field_errors(error, "spec") from None
