"""Worlds to play: a session is an episode, in a global model or in the true simulator."""

import json
from base64 import b64encode
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from api.deps import CallerDep, Services, ServicesDep
from api.errors import Problem
from api.routes.uploads import settled
from api.uploads import Announced
from api.views import PREFIX, job_replies
from core.jobs import replies
from core.jobs.errors import ArtifactNotFound
from core.jobs.records import Token
from core.jobs.replies import Reply
from core.jobs.simulation import Close, Reset, Save, Step
from core.jobs.spec import ArtifactId, IngestSpec, Kind

router = APIRouter(prefix="/sim", tags=["simulator"])


class Observation(Reply):
    """A frame (height, width, 3), or the patches that a model works on (channels, h, w)."""

    data: str = Field(description="base64 of the bytes")
    encoding: str = Field(description="raw_u8, jpeg, png or raw_f16")
    shape: list[int]


class Recorded(Reply):
    """How much a session recorded."""

    episodes: int
    steps: int
    full: bool = Field(description="What comes now is not recorded any more")


class SimReset(Reply):
    """The first frame of an episode."""

    session_id: str
    t: int = Field(description="Steps taken")
    obs: Observation
    seed: int = Field(description="To be given again for the same episode")
    world: str
    info: dict[str, Any] = Field(description="Where it starts; is_success in the true simulator")
    recorded: Recorded | None = None


class SimStep(SimReset):
    """What one step led to."""

    reward: float
    terminated: bool
    truncated: bool
    returned: float = Field(alias="return", description="Sum of the rewards so far")
    action: list[float] = Field(description="What was done, clipped to [-1, 1]")
    driver: str = Field(description="human or policy")


class SimClosed(Reply):
    """`closed` is false for a session that had ended before."""

    session_id: str
    closed: bool


class SimModel(Reply):
    """What a global model is like to play."""

    id: str
    dataset: str
    image_shape: list[int]
    latent_shape: list[int]
    action_dim: int
    action_names: list[str]
    context: int
    fps: float
    dt: float = Field(description="Seconds that a step stands for")
    task: str | None = Field(None, description="Its true simulator, if there is one")
    episodes: int
    windows: int = Field(description="Windows of training frames to start at")


class SimInfo(Reply):
    """The caller's sessions, the limits, and the model that was asked about."""

    sessions: int
    most_sessions: int
    idle_seconds: float
    device: str
    model: SimModel | None = None


class Ticket(Reply):
    """Where a browser, which cannot send a header there, opens the stream."""

    url: str = Field(description="Signed: path and query of the WebSocket")


class Saved(Reply):
    """The upload that the recording became, and the job that makes a dataset of it."""

    upload_id: str
    episodes: int
    steps: int
    job: replies.Job


@router.get("/info")
async def info(s: ServicesDep, caller: CallerDep, model: ArtifactId | None = None) -> SimInfo:
    """Whether the simulator runs, and what a model is like to play."""
    if model is not None:
        await run_sync(check_model, s, model, Kind.GLOBAL_MODEL)
    header, _ = await s.simulator.ask("info", caller.id, {"model": model})
    return SimInfo.model_validate(header)


@router.post("/reset", response_model=SimReset)
async def reset(body: Reset, s: ServicesDep, caller: CallerDep) -> JSONResponse:
    """Start an episode in a new session, or in the one that is named."""
    await run_sync(check_models, s, body)
    return answered(*await s.simulator.ask("reset", caller.id, body))


@router.post("/step", response_model=SimStep)
async def step(body: Step, s: ServicesDep, caller: CallerDep) -> JSONResponse:
    """Take one step. 409: the episode has ended; 410: the session has."""
    return answered(*await s.simulator.ask("step", caller.id, body))


@router.post("/close")
async def close(body: Close, s: ServicesDep, caller: CallerDep) -> SimClosed:
    """End a session; closing it twice is no error."""
    header, _ = await s.simulator.ask("close", caller.id, body)
    return SimClosed.model_validate(header)


@router.post("/ticket")
def ticket(s: ServicesDep) -> Ticket:
    """An address of `WS /sim/ws` that needs no header and works for a while."""
    return Ticket(url=s.signer.sign(f"{PREFIX}/sim/ws"))


@router.post("/save", status_code=202)
async def save(body: Save, s: ServicesDep, caller: CallerDep) -> Saved:
    """Make a dataset of what the session recorded: an upload of it, and the job that reads it."""
    return await saved(s, caller, body)


async def saved(s: Services, caller: Token, body: Save) -> Saved:
    """What `POST /sim/save` does, also over a WebSocket."""
    fields = {"session_id": body.session_id}
    header, logs = await s.simulator.ask("recorded", caller.id, fields)
    return await run_sync(_ingested, s, caller, body.name, header, logs)


def _ingested(s: Services, caller: Token, name: str, header: dict[str, Any], logs: bytes) -> Saved:
    announced = Announced("play.zip", len(logs), None)
    upload_id = s.uploads.create(announced, s.settings.upload_quota_bytes)
    with s.uploads.writer(upload_id, 0) as writer:
        writer.write(logs)
        writer.commit(None)
    settled(s, upload_id)
    spec = IngestSpec(upload=upload_id, name=name, format="npz")
    job = s.store.submit(spec, name, submitter=caller.id)
    counts = {n: header[n] for n in ("episodes", "steps")}
    return Saved(upload_id=upload_id, job=job_replies(s, [job])[0], **counts)


def check_models(s: Services, asked: Reset) -> None:
    """404 for a model or policy that the caller's project does not have."""
    if asked.model is not None:
        check_model(s, asked.model, Kind.GLOBAL_MODEL)
    if asked.policy is not None:
        check_model(s, asked.policy, Kind.POLICY)


def check_model(s: Services, model_id: str, kind: Kind) -> None:
    """404 if the caller's project has no model of this kind by that id."""
    try:
        found = s.store.get_artifact(model_id)
    except ArtifactNotFound:
        raise Problem(404, "No such model", f"{model_id} does not exist") from None
    if found.kind != kind:
        words = {Kind.GLOBAL_MODEL: "global model", Kind.POLICY: "policy"}
        raise Problem(422, "Not a model of this kind", f"{model_id} is no {words[kind]}")


def answered(header: dict[str, Any], data: bytes) -> JSONResponse:
    """The simulator's answer as JSON, its picture as base64; nothing is checked twice."""
    shape, encoding = header.pop("shape"), header.pop("encoding")
    header.pop("obs_type")
    header["obs"] = {"data": b64encode(data).decode(), "encoding": encoding, "shape": shape}
    return _Plain(header)


class _Plain(JSONResponse):
    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode()
