"""What an artifact was made of, and what was made of it."""

from fastapi import APIRouter

from api.deps import Services, ServicesDep, known_id
from core.jobs.errors import ArtifactNotFound, UploadNotFound
from core.jobs.records import Artifact
from core.jobs.replies import LineageNode, Reply

router = APIRouter(prefix="/lineage", tags=["lineage"])
UPLOAD = "up_"


class LineagePage(Reply):
    """Every artifact and upload of the line once."""

    items: list[LineageNode]


@router.get("/{artifact_id}")
def get_lineage(artifact_id: str, s: ServicesDep) -> LineagePage:
    """From the uploaded logs to the rollouts, as far as this service knows, in order of making."""
    start = s.store.get_artifact(known_id(artifact_id))
    artifacts = _sources(s, start) | _products(s, start)
    uploads = dict.fromkeys(i for a in artifacts.values() for i in a.lineage if _is_upload(i))
    made = sorted(artifacts.values(), key=lambda a: a.seq)
    return LineagePage(items=[*(_upload(s, i) for i in uploads), *(_node(a) for a in made)])


def _sources(s: Services, start: Artifact) -> dict[str, Artifact]:
    found, waiting = {start.id: start}, [start]
    while waiting:
        for source in waiting.pop().lineage:
            if source not in found and not _is_upload(source):
                try:
                    found[source] = s.store.get_artifact(source)
                except ArtifactNotFound:
                    continue  # deleted since; the arrow to it says that it was there
                waiting.append(found[source])
    return found


def _products(s: Services, start: Artifact) -> dict[str, Artifact]:
    """What came later and goes back to it, directly or not."""
    later: list[Artifact] = []
    cursor = None
    while page := s.store.list_artifacts(cursor=cursor, limit=500):
        later += [a for a in page if a.seq > start.seq]
        if page[-1].seq <= start.seq:
            break
        cursor = page[-1].seq
    found = {start.id: start}
    for artifact in reversed(later):
        if any(source in found for source in artifact.lineage):
            found[artifact.id] = artifact
    return found


def _node(artifact: Artifact) -> LineageNode:
    return LineageNode(
        id=artifact.id,
        kind=artifact.kind,
        name=artifact.name,
        job_id=artifact.job_id,
        made_from=list(artifact.lineage),
    )


def _upload(s: Services, upload_id: str) -> LineageNode:
    try:
        upload = s.store.get_upload(upload_id)
    except UploadNotFound:
        return LineageNode(id=upload_id, kind="upload", name="deleted upload")
    return LineageNode(id=upload_id, kind="upload", name=upload.filename, sha256=upload.sha256)


def _is_upload(identifier: str) -> bool:
    return identifier.startswith(UPLOAD)
