"""Ingested datasets, their episodes and videos."""

import os
import secrets
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from api.deps import (
    CallerDep,
    CursorQuery,
    IdempotencyKey,
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
from api.routes.jobs import body_hash
from api.views import PREFIX, dataset_reply, job_replies
from core.data.dataset import Dataset, EpisodeInfo
from core.data.video import write_mp4
from core.jobs import replies
from core.jobs.records import Artifact, ArtifactType
from core.jobs.replies import Reply
from core.jobs.spec import ArtifactId, ExportSpec, IngestSpec

router = APIRouter(prefix="/datasets", tags=["datasets"])
videos = APIRouter(
    prefix="/datasets", tags=["datasets"], dependencies=[Depends(caller_or_signature)]
)


class NewDataset(IngestSpec):
    """What `POST /datasets` takes: an `IngestSpec` whose upload is called `upload_id`."""

    upload: ArtifactId = Field(alias="upload_id", description="Finished upload that holds the logs")


class NewExport(BaseModel):
    """How to export; `source` of the job is the dataset in the address."""

    model_config = ConfigDict(extra="forbid")

    pictures: Literal["h264", "av1", "png"] = "h264"


class Accepted(Reply):
    """The job that was queued."""

    job: replies.Job


class DatasetPage(Reply):
    """One page; `next` is the cursor of the page after it."""

    items: list[replies.Dataset]
    next: int | None


class EpisodePage(Reply):
    """Some or all episodes, in order."""

    items: list[replies.Episode]
    total: int


@router.post("", status_code=202)
def ingest(
    body: NewDataset, s: ServicesDep, caller: CallerDep, idempotency_key: IdempotencyKey = None
) -> Accepted:
    """Queue the job that makes a dataset of an upload."""
    job = s.store.submit(
        IngestSpec.model_validate(body.model_dump()),
        body.name,
        idem_key=idempotency_key,
        body_hash=body_hash("datasets", body),
        submitter=caller.id,
    )
    return Accepted(job=job_replies(s, [job])[0])


@router.get("")
def list_datasets(
    s: ServicesDep, limit: LimitQuery = 100, cursor: CursorQuery = None
) -> DatasetPage:
    """Newest first. A dataset is listed once it is complete."""
    found = s.store.list_artifacts(type=ArtifactType.DATASET, cursor=cursor, limit=limit)
    return DatasetPage(
        items=[dataset_reply(s, a) for a in found],
        next=found[-1].seq if len(found) == limit else None,
    )


@router.get("/{dataset_id}")
def get_dataset(dataset_id: str, s: ServicesDep) -> replies.Dataset:
    """One dataset with its shapes, units and statistics."""
    return dataset_reply(s, _artifact(s, dataset_id))


@router.delete("/{dataset_id}")
def delete_dataset(
    dataset_id: str, s: ServicesDep, with_products: WithProducts = False
) -> replies.Deleted:
    """409 while something was made of it or is about to read it."""
    found = _artifact(s, dataset_id).id
    return replies.Deleted(ids=s.store.delete_artifact(found, with_products=with_products))


@router.get("/{dataset_id}/report")
def get_report(dataset_id: str, s: ServicesDep) -> dict[str, Any]:
    """What validation found."""
    artifact = _artifact(s, dataset_id)
    return read_json(s.artifacts.dataset(artifact.id) / "report.json") or {}


@router.get("/{dataset_id}/episodes")
def list_episodes(
    dataset_id: str,
    s: ServicesDep,
    first: Annotated[int, Query(ge=0, le=2**31, description="Number of the first one")] = 0,
    limit: Annotated[int | None, Query(ge=1, le=100_000, description="All if none")] = None,
) -> EpisodePage:
    """Episodes with their length and split, from number `first` on."""
    episodes = _open(s, dataset_id).episodes
    last = len(episodes) if limit is None else min(first + limit, len(episodes))
    items = [_episode(s, dataset_id, n, episodes[n]) for n in range(first, last)]
    return EpisodePage(items=items, total=len(episodes))


@router.get("/{dataset_id}/episodes/{n}")
def get_episode(dataset_id: str, n: int, s: ServicesDep) -> replies.EpisodeData:
    """Actions, state, rewards and labels of one episode."""
    dataset = _open(s, dataset_id)
    episode = _nth(dataset, n)
    rows = slice(episode.start, episode.start + episode.length)
    numbers = {f: v[rows].tolist() for f, v in dataset.fields().items() if f != "frames"}
    common = _episode(s, dataset_id, n, episode).model_dump()
    return replies.EpisodeData.model_validate({**common, **numbers, "fps": dataset.meta.fps})


@router.post("/{dataset_id}/export", status_code=202)
def export(
    dataset_id: str,
    body: NewExport,
    s: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> Accepted:
    """Queue the job that writes the dataset as LeRobot v3.0; `GET /exports` lists what is done."""
    artifact = _artifact(s, dataset_id)
    job = s.store.submit(
        ExportSpec(source=artifact.id, **body.model_dump()),
        artifact.name,
        idem_key=idempotency_key,
        body_hash=body_hash(f"export {artifact.id}", body),
        submitter=caller.id,
    )
    return Accepted(job=job_replies(s, [job])[0])


@videos.get("/{dataset_id}/episodes/{n}/video", response_class=FileResponse)
@videos.head("/{dataset_id}/episodes/{n}/video", include_in_schema=False)
def get_video(
    dataset_id: str,
    n: int,
    s: SignedServicesDep,
    range: RangeHeader = None,
) -> FileResponse:
    """The episode as H.264 mp4, with ranges; made at the first request if ingest made none."""
    dataset = _open(s, dataset_id)
    episode = _nth(dataset, n)
    preview = dataset.path / "previews" / f"{n}.mp4"
    if preview.is_file():
        return video(preview, range)
    cached = s.artifacts.root / "cache" / "previews" / dataset_id / f"{n}.mp4"
    if not cached.is_file():
        cached.parent.mkdir(parents=True, exist_ok=True)
        beside = cached.with_name(f".{n}.{os.getpid()}.{secrets.token_hex(4)}.mp4")
        try:
            frames = dataset.frames[episode.start : episode.start + episode.length]
            write_mp4(beside, frames, dataset.meta.fps)
            beside.replace(cached)
        finally:
            beside.unlink(missing_ok=True)
    return video(cached, range)


def _artifact(s: Services, dataset_id: str) -> Artifact:
    artifact = s.store.get_artifact(known_id(dataset_id))
    if artifact.type is not ArtifactType.DATASET:
        raise Problem(404, "No such dataset", f"{dataset_id} is a {artifact.type}")
    return artifact


def _open(s: Services, dataset_id: str) -> Dataset:
    return Dataset.open(s.artifacts.dataset(_artifact(s, dataset_id).id))


def _nth(dataset: Dataset, n: int) -> EpisodeInfo:
    if not 0 <= n < len(dataset.episodes):
        raise Problem(404, "No such episode", f"The dataset has {len(dataset.episodes)} episodes")
    return dataset.episodes[n]


def _episode(s: Services, dataset_id: str, n: int, episode: EpisodeInfo) -> replies.Episode:
    return replies.Episode(
        n=n,
        length=episode.length,
        split=episode.split,
        source=episode.source,
        tags=list(episode.tags),
        video_url=s.signer.sign(f"{PREFIX}/datasets/{dataset_id}/episodes/{n}/video"),
    )
