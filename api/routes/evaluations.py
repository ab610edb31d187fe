"""Figures that evaluate jobs found."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import CursorQuery, LimitQuery, Services, ServicesDep, WithProducts, known_id
from api.errors import Problem
from api.views import evaluation_reply
from core.jobs import replies
from core.jobs.records import Artifact, ArtifactType
from core.jobs.replies import Reply
from core.jobs.spec import ArtifactId

router = APIRouter(prefix="/evaluations", tags=["evaluations"])


class EvaluationPage(Reply):
    """One page; `next` is the cursor of the page after it."""

    items: list[replies.Evaluation]
    next: int | None


@router.get("")
def list_evaluations(
    s: ServicesDep,
    of: Annotated[ArtifactId | None, Query(description="Model or dataset that was judged")] = None,
    limit: LimitQuery = 100,
    cursor: CursorQuery = None,
) -> EvaluationPage:
    """Newest first. With `of`, a page may hold fewer than `limit`, and `next` says if more follow."""
    found = s.store.list_artifacts(type=ArtifactType.EVALUATION, cursor=cursor, limit=limit)
    return EvaluationPage(
        items=[evaluation_reply(s, a) for a in found if of is None or of in a.lineage],
        next=found[-1].seq if len(found) == limit else None,
    )


@router.get("/{evaluation_id}")
def get_evaluation(evaluation_id: str, s: ServicesDep) -> replies.Evaluation:
    """One evaluation."""
    return evaluation_reply(s, _artifact(s, evaluation_id))


@router.delete("/{evaluation_id}")
def delete_evaluation(
    evaluation_id: str, s: ServicesDep, with_products: WithProducts = False
) -> replies.Deleted:
    """409 while something was made of it or is about to read it."""
    found = _artifact(s, evaluation_id).id
    return replies.Deleted(ids=s.store.delete_artifact(found, with_products=with_products))


def _artifact(s: Services, evaluation_id: str) -> Artifact:
    artifact = s.store.get_artifact(known_id(evaluation_id))
    if artifact.type is not ArtifactType.EVALUATION:
        raise Problem(404, "No such evaluation", f"{evaluation_id} is a {artifact.type}")
    return artifact
