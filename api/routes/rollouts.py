"""Imagined rollouts beside the real episodes they start from."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import FileResponse

from api.deps import (
    CursorQuery,
    LimitQuery,
    RangeHeader,
    Services,
    ServicesDep,
    SignedServicesDep,
    WithProducts,
    caller_or_signature,
    known_id,
)
from api.errors import Problem
from api.files import read_json, video
from api.views import rollout_reply
from core.jobs import replies
from core.jobs.records import Artifact, ArtifactType
from core.jobs.replies import Reply

router = APIRouter(prefix="/rollouts", tags=["rollouts"])
videos = APIRouter(
    prefix="/rollouts", tags=["rollouts"], dependencies=[Depends(caller_or_signature)]
)


class RolloutPage(Reply):
    """One page; `next` is the cursor of the page after it."""

    items: list[replies.Rollout]
    next: int | None


class ErrorPage(Reply):
    """Items of one rollout with their error per step."""

    items: list[replies.RolloutItem]


@router.get("")
def list_rollouts(
    s: ServicesDep, limit: LimitQuery = 100, cursor: CursorQuery = None
) -> RolloutPage:
    """Newest first."""
    found = s.store.list_artifacts(type=ArtifactType.ROLLOUT, cursor=cursor, limit=limit)
    return RolloutPage(
        items=[rollout_reply(s, a, whole=False) for a in found],
        next=found[-1].seq if len(found) == limit else None,
    )


@router.get("/{rollout_id}")
def get_rollout(rollout_id: str, s: ServicesDep) -> replies.Rollout:
    """One rollout with its items and the signed addresses of their videos."""
    return rollout_reply(s, _artifact(s, rollout_id), whole=True)


@router.delete("/{rollout_id}")
def delete_rollout(
    rollout_id: str, s: ServicesDep, with_products: WithProducts = False
) -> replies.Deleted:
    """409 while something was made of it or is about to read it."""
    found = _artifact(s, rollout_id).id
    return replies.Deleted(ids=s.store.delete_artifact(found, with_products=with_products))


@router.get("/{rollout_id}/errors")
def get_errors(rollout_id: str, s: ServicesDep) -> ErrorPage:
    """Error per imagined step, beside the error of a still picture."""
    return ErrorPage(items=rollout_reply(s, _artifact(s, rollout_id), whole=True).items or [])


@videos.get("/{rollout_id}/video", response_class=FileResponse)
@videos.head("/{rollout_id}/video", include_in_schema=False)
def get_video(
    rollout_id: str,
    s: SignedServicesDep,
    item: Annotated[int, Query(ge=0, le=10_000)] = 0,
    which: Literal["video", "real", "imagined", "dream", "difference"] = "video",
    range: RangeHeader = None,
) -> FileResponse:
    """One item as H.264 mp4 with ranges: real and imagined side by side, or one alone."""
    folder = s.artifacts.rollout(_artifact(s, rollout_id).id)
    items = (read_json(folder / "rollout.json") or {}).get("items", [])
    name = next((i.get(which) for i in items if i["n"] == item), None)
    if name is None:
        raise Problem(404, "No such video", f"The rollout has no {which} of item {item}")
    return video(folder / name, range)


def _artifact(s: Services, rollout_id: str) -> Artifact:
    artifact = s.store.get_artifact(known_id(rollout_id))
    if artifact.type is not ArtifactType.ROLLOUT:
        raise Problem(404, "No such rollout", f"{rollout_id} is a {artifact.type}")
    return artifact
