"""Policies to ask: observations in, actions out."""

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Annotated, Literal

import numpy as np
from anyio.to_thread import run_sync
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.deps import CallerDep, ServicesDep, known_id
from api.errors import Problem
from api.routes.sim import check_model
from core.data.pictures import decoded
from core.jobs.replies import Reply
from core.jobs.simulation import Act, ActionVector, SessionId
from core.jobs.spec import Kind

router = APIRouter(prefix="/policies", tags=["simulator"])

MOST_BODY_BYTES = 32 << 20


class ObservationIn(BaseModel):
    """One frame, square, at least as large as the policy's frames; larger ones are averaged down."""

    model_config = ConfigDict(extra="forbid")

    data: str = Field(description="base64 of the bytes")
    encoding: Literal["raw_u8", "jpeg", "png"] = "raw_u8"
    shape: tuple[int, int, int] | None = Field(
        None, description="(height, width, 3) of raw_u8; pictures know theirs"
    )


class ActBody(BaseModel):
    """The newest observation of one or several episodes, a row each."""

    model_config = ConfigDict(extra="forbid")

    observations: Annotated[list[ObservationIn], Field(min_length=1, max_length=1024)]
    session_id: SessionId | None = Field(
        None, description="Of the reply before: the policy remembers what it saw and did"
    )
    reset: list[bool] | None = Field(None, description="Rows that begin a new episode here")
    noise: list[ActionVector] | None = Field(
        None,
        description="A row each of standard normal numbers, to draw actions as in training; "
        "without it they are the likeliest ones",
    )


class ActReply(Reply):
    """What to do."""

    session_id: str = Field(description="To be given with the next observations")
    t: int = Field(description="Times that this session was asked")
    actions: list[list[float]] = Field(description="A row each, in [-1, 1]")


@router.post("/{policy_id}/act")
async def act(policy_id: str, body: ActBody, s: ServicesDep, caller: CallerDep) -> ActReply:
    """Actions for observations; `POST /sim/close` ends the session."""
    await run_sync(check_model, s, known_id(policy_id), Kind.POLICY)
    frames = await run_sync(_frames, body.observations)
    asked = Act.model_validate(
        {
            "policy": policy_id,
            "session_id": body.session_id,
            "shape": frames.shape,
            "reset": body.reset,
            "noise": body.noise,
        }
    )
    header, _ = await s.simulator.ask("act", caller.id, asked, frames.tobytes())
    return ActReply.model_validate(header)


def _frames(observations: list[ObservationIn]) -> np.ndarray:
    """(rows, H, W, 3) u8; 422 that names the row that is wrong."""
    frames: list[np.ndarray] = []
    for n, one in enumerate(observations):
        try:
            frames.append(_frame(one))
            if frames[n].shape != frames[0].shape:
                raise ValueError(f"has shape {frames[n].shape}, the first {frames[0].shape}")
        except (Base64Error, ValueError) as error:
            told = f"observations.{n}: {error}"
            raise Problem(422, "Not an observation", told) from None
    return np.stack(frames)


def _frame(one: ObservationIn) -> np.ndarray:
    data = b64decode(one.data, validate=True)
    if one.encoding != "raw_u8":
        return decoded(data)
    if one.shape is None:
        raise ValueError("raw_u8 needs a shape: [height, width, 3]")
    height, width, channels = one.shape
    if min(height, width) < 1 or channels != 3 or len(data) != height * width * 3:
        raise ValueError(f"{len(data)} bytes are not a frame of shape {list(one.shape)}")
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)
