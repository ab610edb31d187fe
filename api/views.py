"""Rows and files → replies."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from api.deps import Services
from api.files import read_json
from core import disk
from core.jobs import records, replies
from core.jobs.records import Artifact, JobState
from core.jobs.spec import Kind

PREFIX = "/api/v1"
VIDEOS = ("video", "real", "imagined", "dream", "difference")
"""What a rollout may have of each item."""


def when(seconds: float) -> datetime:
    """Unix seconds as a time with a zone."""
    return datetime.fromtimestamp(seconds, UTC)


def progress(s: Services, job: records.Job) -> replies.Progress | None:
    """What the running process wrote last, else what its last heartbeat carried."""
    if job.attempt == 0:
        return None
    written = read_json(s.artifacts.run(job.id) / "progress.json") or job.progress
    return replies.Progress.model_validate(written) if written else None


def job_reply(s: Services, job: records.Job, states: dict[str, JobState]) -> replies.Job:
    """`states` holds what is known of other jobs and is added to."""
    end = job.finished_at or s.store.clock()
    cost = None
    if job.state is JobState.SUCCEEDED:
        cost = read_json(s.artifacts.run(job.id) / "cost.json")
    return replies.Job(
        id=job.id,
        kind=job.kind,
        name=job.name,
        status=job.state,
        spec=job.spec,
        output_id=job.output_id,
        depends_on=list(job.depends_on),
        waiting_for=_waiting_for(s, job, states),
        waiting=_waiting(job),
        pipeline_id=job.pipeline,
        attempt=job.attempt,
        cancel_requested=job.cancel_requested,
        progress=progress(s, job),
        result=job.result,
        error=job.error,
        cost=replies.Cost.model_validate(cost) if cost else None,
        created_at=when(job.created_at),
        started_at=when(job.started_at) if job.started_at else None,
        finished_at=when(job.finished_at) if job.finished_at else None,
        seconds=round(end - job.started_at, 3) if job.started_at else None,
    )


def job_replies(s: Services, jobs: Iterable[records.Job]) -> list[replies.Job]:
    """Many jobs, each row of a dependency read at most once."""
    found = list(jobs)
    states = {job.id: job.state for job in found}
    return [job_reply(s, job, states) for job in found]


def _waiting_for(s: Services, job: records.Job, states: dict[str, JobState]) -> list[str]:
    if job.state is not JobState.QUEUED:
        return []
    for other in job.depends_on:
        if other not in states:
            states[other] = s.store.get(other).state
    return [other for other in job.depends_on if states[other] is not JobState.SUCCEEDED]


def _waiting(job: records.Job) -> str | None:
    if job.state is not JobState.QUEUED or job.needs_bytes is None:
        return None
    return disk.told(job.needs_bytes)


def dataset_reply(s: Services, artifact: Artifact) -> replies.Dataset:
    """A dataset with its dataset.json."""
    meta: dict[str, Any] = read_json(s.artifacts.dataset(artifact.id) / "dataset.json") or {}
    frames = meta.get("shapes", {}).get("frames")
    return replies.Dataset(
        **_common(artifact),
        episodes=meta.get("num_episodes"),
        frames=frames[0] if frames else None,
        meta=meta,
    )


def model_reply(s: Services, artifact: Artifact, *, whole: bool) -> replies.Model:
    """A model; `whole` adds what its folder says."""
    reply = replies.Model(
        **_common(artifact),
        kind=artifact.kind,
        result=artifact.summary,
        download_url=s.signer.sign(f"{PREFIX}/models/{artifact.id}/download"),
    )
    if not whole:
        return reply
    folder = s.artifacts.model(artifact.id)
    parts = {name: read_json(folder / f"{name}.json") for name in ("config", "spec", "lineage")}
    parts["spec"] = parts["spec"] or s.store.get(artifact.job_id).spec
    return reply.model_copy(update=parts)


def rollout_reply(s: Services, artifact: Artifact, *, whole: bool) -> replies.Rollout:
    """A rollout; `whole` adds its items with signed addresses."""
    written = read_json(s.artifacts.rollout(artifact.id) / "rollout.json") or {}
    reply = replies.Rollout(
        **_common(artifact), fps=written.get("fps"), horizon=written.get("horizon")
    )
    if not whole:
        return reply
    items = [_item(s, artifact.id, item) for item in written.get("items", [])]
    return reply.model_copy(update={"items": items})


def _item(s: Services, rollout_id: str, item: dict[str, Any]) -> replies.RolloutItem:
    path = f"{PREFIX}/rollouts/{rollout_id}/video"
    rest = {k: v for k, v in item.items() if k not in VIDEOS}
    signed = {
        f"{which}_url": s.signer.sign(path, item=item["n"], which=which)
        for which in VIDEOS
        if item.get(which)
    }
    return replies.RolloutItem.model_validate(rest | signed)


def evaluation_reply(s: Services, artifact: Artifact) -> replies.Evaluation:
    """An evaluation with the spec that was asked for."""
    spec = s.store.get(artifact.job_id).spec
    return replies.Evaluation(**_common(artifact), spec=spec, result=artifact.summary)


def export_reply(s: Services, artifact: Artifact) -> replies.Export:
    """An export with the signed address of its zip."""
    spec = s.store.get(artifact.job_id).spec
    return replies.Export(
        **_common(artifact),
        kind=artifact.kind,
        source=spec.get("source") or spec.get("policy"),
        result=artifact.summary,
        download_url=s.signer.sign(f"{PREFIX}/exports/{artifact.id}/download"),
    )


def _common(artifact: Artifact) -> dict[str, Any]:
    return {
        "id": artifact.id,
        "name": artifact.name,
        "job_id": artifact.job_id,
        "created_at": when(artifact.created_at),
    }


MODEL_KINDS = (Kind.GLOBAL_MODEL, Kind.LOCAL_MODEL, Kind.POLICY)
