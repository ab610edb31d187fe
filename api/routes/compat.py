"""The surface of Gym-style neural simulators at the server's root, for clients made for those.

`FOGLAB_COMPAT_MODEL` names the global model that is played, and switches the routes on. A token is
optional only where the server listens on this machine alone and is called by its own name; a
token that is sent must be valid.
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.deps import CredentialsDep, InstallationDep, Services, caller
from api.errors import Problem, field_errors
from api.routes.sim import answered, check_model
from core.jobs.replies import Reply
from core.jobs.simulation import ActionVector, Close, Reset, Step
from core.jobs.spec import Kind, Seed

ObsType = Literal["image", "latent"]
Coding = Literal["raw_u8", "jpeg", "raw_f16"]
_OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


class Body(BaseModel):
    """Unknown fields are let pass: clients of other servers send their own."""

    model_config = ConfigDict(extra="ignore")

    obs_type: ObsType = "image"
    encoding: Coding | None = Field(
        None, description="raw_u8 or jpeg of an image, raw_f16 of a latent"
    )

    def kind(self) -> dict[str, Any]:
        """Both fields as the simulator takes them."""
        usual = "raw_f16" if self.obs_type == "latent" else "raw_u8"
        return {"obs_type": self.obs_type, "encoding": self.encoding or usual}


class CompatReset(Body):
    """Start an episode."""

    seed: Seed | None = None
    start_idx: int | None = Field(None, ge=0, description="Window of training frames to start at")


class CompatStep(Body):
    """One step."""

    session_id: str
    action: ActionVector


class CompatClose(BaseModel):
    """End a session."""

    session_id: str


class Health(Reply):
    """`status` is ok."""

    status: str


class Info(Reply):
    """What a client must know beforehand."""

    action_dim: int
    image_shape: list[int]
    latent_shape: list[int]
    max_steps: int
    dt: float = Field(description="Seconds that a step stands for")


def make_router(model: str, max_steps: int, loopback: bool) -> APIRouter:
    """Routes that play `model`; `loopback`: the server listens on this machine alone."""
    router = APIRouter(tags=["compatibility"])

    async def owner(
        connection: HTTPConnection, s: InstallationDep, credentials: CredentialsDep
    ) -> str:
        named = urlsplit(f"//{connection.headers.get('host', '')}").hostname
        if credentials is None and loopback and named in _OWN_NAMES:
            await run_sync(check_model, s, model, Kind.GLOBAL_MODEL)
            return "loopback"
        token = await caller(connection, s, credentials)
        await run_sync(check_model, s.of(token), model, Kind.GLOBAL_MODEL)
        return token.id

    owner_dep = Annotated[str, Depends(owner)]

    @router.get("/health")
    async def health(s: InstallationDep, owner: owner_dep) -> Health:
        """The simulator answers."""
        await s.simulator.ask("info", owner)
        return Health(status="ok")

    @router.get("/info")
    async def info(s: InstallationDep, owner: owner_dep) -> Info:
        """Sizes of actions and observations."""
        header, _ = await s.simulator.ask("info", owner, {"model": model})
        return Info.model_validate({**_known(header["model"]), "max_steps": max_steps})

    @router.post("/reset")
    async def reset(body: CompatReset, s: InstallationDep, owner: owner_dep) -> JSONResponse:
        """A new session: `{session_id, obs: {data, encoding, shape}, t, info}`."""
        fields = {"model": model, "max_steps": max_steps, **body.kind()}
        given = {"seed": body.seed, "window": body.start_idx}
        asked = {**fields, **{k: v for k, v in given.items() if v is not None}}
        return await _answer(s, owner, "reset", Reset, asked)

    @router.post("/step")
    async def step(body: CompatStep, s: InstallationDep, owner: owner_dep) -> JSONResponse:
        """`{obs, reward, terminated, truncated, t, info}`; 409 for a session that is not there."""
        asked = {"session_id": body.session_id, "action": body.action, **body.kind()}
        return await _answer(s, owner, "step", Step, asked)

    @router.post("/close")
    async def close(body: CompatClose, s: InstallationDep, owner: owner_dep) -> JSONResponse:
        """End a session; closing it twice is no error."""
        return await _answer(s, owner, "close", Close, {"session_id": body.session_id})

    return router


async def _answer(
    s: Services, owner: str, operation: str, kind: type[Any], asked: dict[str, Any]
) -> JSONResponse:
    try:
        fields = _validated(kind, asked)
        header, data = await s.simulator.ask(operation, owner, fields)
    except Problem as problem:
        if problem.status in {404, 410}:
            problem.status = 409
        raise
    return answered(header, data) if "shape" in header else JSONResponse(header)


def _validated(kind: type[Any], asked: dict[str, Any]) -> Any:
    try:
        return kind.model_validate(asked)
    except ValidationError as error:
        if any("session_id" in e["loc"] for e in error.errors()):
            told = "session_id: it is none of this server; start one with /reset"
            raise Problem(409, "No such session", told) from None
        raise field_errors(error) from None


def _known(model: dict[str, Any]) -> dict[str, Any]:
    return {k: model[k] for k in ("action_dim", "image_shape", "latent_shape", "dt")}
