"""Datasets, imagined rollouts and policies in the formats of other tools."""

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
from api.views import export_reply
from core.jobs import replies
from core.jobs.records import Artifact, ArtifactType
from core.jobs.replies import Reply
from core.jobs.spec import Kind

router = APIRouter(prefix="/exports", tags=["exports"])
downloads = APIRouter(
    prefix="/exports", tags=["exports"], dependencies=[Depends(caller_or_signature)]
)


class ExportPage(Reply):
    """One page; `next` is the cursor of the page after it."""

    items: list[replies.Export]
    next: int | None


@router.get("")
def list_exports(s: ServicesDep, limit: LimitQuery = 100, cursor: CursorQuery = None) -> ExportPage:
    """Newest first. Jobs of the kinds `export` and `policy_export` make them."""
    found = s.store.list_artifacts(type=ArtifactType.EXPORT, cursor=cursor, limit=limit)
    return ExportPage(
        items=[export_reply(s, a) for a in found],
        next=found[-1].seq if len(found) == limit else None,
    )


@router.get("/{export_id}")
def get_export(export_id: str, s: ServicesDep) -> replies.Export:
    """One export and the signed address of its download."""
    return export_reply(s, _artifact(s, export_id))


@router.delete("/{export_id}")
def delete_export(
    export_id: str, s: ServicesDep, with_products: WithProducts = False
) -> replies.Deleted:
    """409 while something was made of it or is about to read it."""
    found = _artifact(s, export_id).id
    return replies.Deleted(ids=s.store.delete_artifact(found, with_products=with_products))


@downloads.get("/{export_id}/download", response_class=StreamingResponse)
def download(
    export_id: str,
    s: SignedServicesDep,
) -> StreamingResponse:
    """A zip: a LeRobot v3.0 dataset, or a policy with samples and a parity report."""
    artifact = _artifact(s, export_id)
    folder = s.artifacts.existing(s.artifacts.export(artifact.id) / _FOLDERS[artifact.kind])
    headers = {"Content-Disposition": f'attachment; filename="{export_id}.zip"'}
    return StreamingResponse(zip_stream(folder), media_type="application/zip", headers=headers)


_FOLDERS = {Kind.EXPORT: "lerobot", Kind.POLICY_EXPORT: "policy"}


def _artifact(s: Services, export_id: str) -> Artifact:
    artifact = s.store.get_artifact(known_id(export_id))
    if artifact.type is not ArtifactType.EXPORT:
        raise Problem(404, "No such export", f"{export_id} is a {artifact.type}")
    return artifact
