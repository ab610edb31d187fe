"""Health (open) and metrics (with a token)."""

import os
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse

from api.deps import InstallationDep, Services, operator
from api.errors import Problem
from core.jobs.errors import StoreError
from core.jobs.replies import Reply

open_router = APIRouter(tags=["operations"])
router = APIRouter(tags=["operations"], dependencies=[Depends(operator)])


class Health(Reply):
    """`status` is ok or ready."""

    status: str


@open_router.get("/healthz")
def health() -> Health:
    """The process answers."""
    return Health(status="ok")


@open_router.get("/readyz")
def ready(s: InstallationDep) -> Health:
    """Database and storage can be used; 503 if not."""
    try:
        s.store.counts()
    except StoreError as error:
        raise Problem(503, "Not ready", "The database cannot be reached") from error
    if not os.access(s.settings.home, os.W_OK):
        raise Problem(503, "Not ready", "The storage cannot be written to")
    return Health(status="ready")


def prometheus(s: InstallationDep) -> str:
    """Queue depth and jobs by state, in Prometheus' text format."""
    lines = [
        "# HELP foglab_jobs Jobs by state.",
        "# TYPE foglab_jobs gauge",
        *(f'foglab_jobs{{state="{k}"}} {n}' for k, n in s.store.counts().items()),
        "# HELP foglab_ready_jobs Queued jobs that a worker could start now.",
        "# TYPE foglab_ready_jobs gauge",
        *(f'foglab_ready_jobs{{queue="{q}"}} {n}' for q, n in _ready(s).items()),
    ]
    return "\n".join(lines) + "\n"


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(text: Annotated[str, Depends(prometheus)]) -> PlainTextResponse:
    """For a Prometheus server that has a token."""
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _ready(s: Services) -> dict[str, int]:
    return {queue: len(s.store.ready_jobs(queue, limit=1000)) for queue in ("ingest", "gpu")}
