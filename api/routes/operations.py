"""Health (open) and metrics (with a token of whoever runs the installation)."""

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import generate_latest
from pydantic import Field

from api.deps import InstallationDep, operator
from api.errors import Problem
from core.jobs.replies import Reply

open_router = APIRouter(tags=["operations"])
router = APIRouter(tags=["operations"], dependencies=[Depends(operator)])


class Health(Reply):
    """`status` is ok."""

    status: str


class Readiness(Reply):
    """`status` is ready, or degraded: requests are taken, but something will have to wait."""

    status: str
    checks: dict[str, str] = Field(description="database, storage, disk, workers, queues")


@open_router.get("/healthz")
def health() -> Health:
    """The process answers."""
    return Health(status="ok")


@open_router.get("/readyz")
def ready(s: InstallationDep) -> Readiness:
    """Database and storage were written to; 503 if not. The rest is told, and waits."""
    found = s.readiness.look(s.store)
    if found.refused is not None:
        raise Problem(503, "Not ready", found.refused)
    status = "ready" if all(v == "ok" for v in found.checks.values()) else "degraded"
    return Readiness(status=status, checks=found.checks)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> PlainTextResponse:
    """For a Prometheus server that has a token of the default project."""
    text = generate_latest(request.app.state.registry).decode()
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")
