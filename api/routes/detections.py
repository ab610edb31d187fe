"""What uploads hold: proposals that a user confirms before a dataset is made."""

from fastapi import APIRouter

from api.deps import ServicesDep, known_id
from api.errors import Problem
from api.files import read_json
from core.jobs import replies
from core.jobs.records import ArtifactType

router = APIRouter(prefix="/detections", tags=["uploads"])


@router.get("/{detection_id}")
def get_detection(detection_id: str, s: ServicesDep) -> replies.Detection:
    """Format, cameras with small pictures, columns and the fields that would be read of them.

    A job of kind `detect` makes it; its `output_id` is the id.
    """
    artifact = s.store.get_artifact(known_id(detection_id))
    if artifact.type is not ArtifactType.DETECTION:
        raise Problem(404, "No such detection", f"{detection_id} is a {artifact.type}")
    content = read_json(s.artifacts.detection(artifact.id) / "detection.json") or {}
    return replies.Detection.model_validate({"id": artifact.id, **content})
