"""The registry of trained models."""

from typing import Literal

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from api.deps import (
    CursorQuery,
    LimitQuery,
    Services,
    ServicesDep,
    SignedServicesDep,
    WithProducts,
    caller_or_signature,
    known_id,
)
from api.errors import Problem
from api.files import zip_stream
from api.views import model_reply
from core.jobs import replies
from core.jobs.records import Artifact, ArtifactType
from core.jobs.replies import Reply
from core.jobs.spec import Kind

router = APIRouter(prefix="/models", tags=["models"])
downloads = APIRouter(
    prefix="/models", tags=["models"], dependencies=[Depends(caller_or_signature)]
)


class ModelPage(Reply):
    """One page; `next` is the cursor of the page after it."""

    items: list[replies.Model]
    next: int | None


@router.get("")
def list_models(
    s: ServicesDep,
    kind: Literal["global_model", "local_model", "policy"] | None = None,
    limit: LimitQuery = 100,
    cursor: CursorQuery = None,
) -> ModelPage:
    """Newest first."""
    found = s.store.list_artifacts(
        type=ArtifactType.MODEL, kind=Kind(kind) if kind else None, cursor=cursor, limit=limit
    )
    return ModelPage(
        items=[model_reply(s, a, whole=False) for a in found],
        next=found[-1].seq if len(found) == limit else None,
    )


@router.get("/{model_id}")
def get_model(model_id: str, s: ServicesDep) -> replies.Model:
    """One model with config, spec and lineage."""
    return model_reply(s, _artifact(s, model_id), whole=True)


@router.delete("/{model_id}")
def delete_model(
    model_id: str, s: ServicesDep, with_products: WithProducts = False
) -> replies.Deleted:
    """409 while something was made of it or is about to read it."""
    found = _artifact(s, model_id).id
    return replies.Deleted(ids=s.store.delete_artifact(found, with_products=with_products))


@downloads.get("/{model_id}/download", response_class=StreamingResponse)
def download(
    model_id: str,
    s: SignedServicesDep,
) -> StreamingResponse:
    """The model's folder as a zip of config.json, model.safetensors, spec.json and so on."""
    folder = s.artifacts.existing(s.artifacts.model(_artifact(s, model_id).id))
    headers = {"Content-Disposition": f'attachment; filename="{model_id}.zip"'}
    return StreamingResponse(zip_stream(folder), media_type="application/zip", headers=headers)


def _artifact(s: Services, model_id: str) -> Artifact:
    artifact = s.store.get_artifact(known_id(model_id))
    if artifact.type is not ArtifactType.MODEL:
        raise Problem(404, "No such model", f"{model_id} is a {artifact.type}")
    return artifact
