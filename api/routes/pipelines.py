"""The whole line as jobs, from an upload or a dataset to a judged policy."""

from typing import Literal

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from api.deps import CallerDep, IdempotencyKey, Services, ServicesDep
from api.errors import Problem
from api.routes.jobs import body_hash
from api.views import job_replies
from core.jobs import presets, replies
from core.jobs.presets import Preset
from core.jobs.rewards import RewardChoice
from core.jobs.spec import ArtifactId, Kind, Name, Seed
from core.jobs.store import Submission

router = APIRouter(prefix="/pipelines", tags=["pipelines"])


class NewPipeline(RewardChoice):
    """Either a dataset, or an upload and the name of the dataset to be made of it."""

    model_config = ConfigDict(extra="forbid")

    dataset_id: ArtifactId | None = None
    upload_id: ArtifactId | None = None
    name: Name | None = Field(None, description="Name of the dataset and prefix of the jobs' names")
    preset: Preset
    task: Literal["push_disc", "push_t"] | None = Field(
        None, description="True simulator that judges the policy, if the task has one"
    )
    seed: Seed = 0


@router.post("", status_code=202)
def submit(
    body: NewPipeline, s: ServicesDep, caller: CallerDep, idempotency_key: IdempotencyKey = None
) -> replies.Pipeline:
    """Queue all jobs of the line, or none."""
    name = _name(s, body)
    ids = presets.new_ids()
    specs = presets.pipeline(
        body.preset,
        ids,
        name=name,
        upload=body.upload_id,
        dataset=body.dataset_id,
        task=body.task,
        reward=body.reward,
        goals=body.goals,
        seed=body.seed,
    )
    jobs = s.store.submit_many(
        [
            Submission(spec, _job_name(name, kind), output_id=ids[kind])
            for kind, spec in specs.items()
        ],
        idem_key=idempotency_key,
        body_hash=body_hash("pipelines", body),
        submitter=caller.id,
    )
    return replies.Pipeline(id=jobs[0].pipeline or jobs[0].id, jobs=job_replies(s, jobs))


def _name(s: Services, body: NewPipeline) -> str:
    if (body.dataset_id is None) == (body.upload_id is None):
        raise _wrong("dataset_id", "Give either dataset_id or upload_id")
    if body.dataset_id is not None:
        return body.name or s.store.get_artifact(body.dataset_id).name
    if body.name is None:
        raise _wrong("name", "A dataset made of an upload needs a name")
    return body.name


def _job_name(name: str, kind: Kind) -> str:
    """Within the length that a name may have."""
    return name if kind is Kind.INGEST else f"{name[:100]}: {kind.replace('_', ' ')}"


def _wrong(field: str, message: str) -> Problem:
    errors = [{"field": field, "message": message}]
    return Problem(422, "The request has wrong fields", f"{field}: {message}", errors=errors)
