"""For whoever runs a project: its tokens, the workers, what takes up the disk."""

import shutil
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from api.deps import AdminDep, ServicesDep, admin, known_id
from api.views import when
from core.jobs import records, replies
from core.jobs.presence import GONE_SECONDS
from core.jobs.replies import Reply
from core.jobs.rows import DEFAULT_PROJECT
from core.jobs.spec import Name

router = APIRouter(tags=["administration"], dependencies=[Depends(admin)])


class NewToken(BaseModel):
    """A token of the caller's own project."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description="Who it is for")
    scopes: Annotated[
        list[Literal["read", "write", "admin"]],
        Field(min_length=1, max_length=3, description="A later one includes those before it"),
    ] = ["read", "write"]
    days: float | None = Field(None, gt=0, le=36_500, description="Days until it expires")


class TokenPage(Reply):
    """All tokens of the project, revoked ones too."""

    items: list[replies.Token]


class WorkerPage(Reply):
    """All workers that were seen within a day."""

    items: list[replies.Worker]


@router.get("/tokens")
def list_tokens(s: ServicesDep) -> TokenPage:
    """Oldest first, without their secrets."""
    return TokenPage(items=[_token(t) for t in s.store.list_tokens()])


@router.post("/tokens", status_code=201)
def create_token(body: NewToken, s: ServicesDep) -> replies.NewToken:
    """Make a token. Its secret is in this answer and never again."""
    expires_at = None if body.days is None else s.store.clock() + 86_400 * body.days
    made, secret = s.store.issue_token(body.name, scopes=body.scopes, expires_at=expires_at)
    return replies.NewToken(token=_token(made), secret=secret)


@router.delete("/tokens/{token_id}")
def revoke_token(token_id: str, s: ServicesDep) -> replies.Token:
    """Make a token, and every address signed in its name, useless from the next request on."""
    return _token(s.store.revoke_token(known_id(token_id)))


@router.get("/workers")
def list_workers(s: ServicesDep) -> WorkerPage:
    """Who works, on which queues, on which job (if it is the project's), with which GPUs."""
    now = s.store.clock()
    return WorkerPage(items=[_worker(w, now) for w in s.store.list_workers()])


@router.get("/storage")
def get_storage(s: ServicesDep, token: AdminDep) -> replies.Storage:
    """Bytes by kind of the project (of all projects for the default one's), and free disk."""
    whole = token.project == DEFAULT_PROJECT
    kinds = s.sizes.by_kind(None if whole else s.store.folder_ids())
    disk = shutil.disk_usage(s.artifacts.root)
    (project,) = s.store.list_projects()
    own = project.upload_quota
    return replies.Storage(
        kinds=kinds,
        total_bytes=sum(kinds.values()),
        free_bytes=disk.free,
        disk_bytes=disk.total,
        uploaded_bytes=s.store.uploaded_bytes(),
        upload_quota_bytes=s.settings.upload_quota_bytes if own is None else own,
    )


def _token(token: records.Token) -> replies.Token:
    return replies.Token(
        id=token.id,
        project=token.project,
        name=token.name,
        scopes=list(token.scopes),
        created_at=when(token.created_at),
        expires_at=None if token.expires_at is None else when(token.expires_at),
        revoked_at=None if token.revoked_at is None else when(token.revoked_at),
    )


def _worker(worker: records.Worker, now: float) -> replies.Worker:
    return replies.Worker(
        id=worker.id,
        queues=list(worker.queues),
        gpus=[g.model_dump() for g in worker.gpus],
        started_at=when(worker.started_at),
        seen_at=when(worker.seen_at),
        alive=now - worker.seen_at < GONE_SECONDS,
        busy=worker.busy,
        job_id=worker.job_id,
    )
