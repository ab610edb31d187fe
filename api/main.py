"""The application: `uvicorn --factory api.main:create_app`, or `python -m api`."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from anyio import create_task_group, sleep
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.types import Scope

from api import docs, errors
from api.deps import Services, caller
from api.errors import Problem
from api.heartbeats import Heartbeats
from api.limits import FailedLogins, Rates
from api.middleware import BodyLimit, Guard
from api.observe import Latencies
from api.readiness import Readiness
from api.routes import (
    admin,
    compat,
    datasets,
    detections,
    evaluations,
    exports,
    jobs,
    lineage,
    models,
    operations,
    pipelines,
    play,
    policies,
    rollouts,
    sim,
    sim_stream,
    specs,
    uploads,
    webhooks,
)
from api.settings import Settings
from api.signing import Signer, load_secret
from api.simulator import Simulator
from api.storage import Sizes
from api.telemetry import Telemetry, make_registry
from api.uploads import Uploads
from api.views import PREFIX
from api.webhooks import Sender
from core.artifacts import Artifacts, UnknownArtifact
from core.jobs.errors import (
    ArtifactNotFound,
    IdempotencyConflict,
    IllegalTransition,
    JobNotFound,
    QuotaExceeded,
    StillNeeded,
    StoreError,
    StoreFull,
    StoreUnavailable,
    TokenNotFound,
    UnknownInput,
    UploadNotFound,
    WebhookNotFound,
)
from core.jobs.store import Store
from core.jobs.wire import simulator_socket

log = logging.getLogger("foglab.api")
KEPT_DELIVERY_DAYS = 30.0
OPEN_PATHS = frozenset(
    {
        *("/healthz", "/readyz", "/openapi.json"),
        *("/docs", "/docs/start.js", "/docs/swagger-ui.js", "/docs/swagger-ui.css"),
        *play.FILES,
    }
)
"""The only paths that answer without a token. All else is denied by its router."""
SIGNED_PATHS = frozenset(
    {
        f"{PREFIX}/datasets/{{dataset_id}}/episodes/{{n}}/video",
        f"{PREFIX}/rollouts/{{rollout_id}}/video",
        f"{PREFIX}/models/{{model_id}}/download",
        f"{PREFIX}/exports/{{export_id}}/download",
    }
)
"""The only paths that take a signature instead of a token."""


def create_app(settings: Settings | None = None, *, loopback: bool = False) -> FastAPI:
    """The API on one installation; nothing is opened before the application starts.

    `loopback`: it will listen on this machine alone.
    """
    settings = settings or Settings()
    app = FastAPI(
        title="foglab",
        version="0.1.0",
        description="Robot logs in, world models and policies out.",
        lifespan=_lifespan(settings),
        docs_url=None,
        redoc_url=None,
        responses=errors.DOCUMENTED,
        # A redirect would answer without a token, and names a second address for one thing.
        redirect_slashes=False,
    )
    _include_routers(app)
    if settings.compat_model:
        chosen = (settings.compat_model, settings.compat_max_steps)
        app.include_router(compat.make_router(*chosen, loopback))
    _install_errors(app)
    registry = make_registry()
    app.state.registry = registry
    app.add_middleware(Guard, body_limit=_body_limit(settings), latencies=Latencies(registry))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Range", *_TUS],
            expose_headers=["Location", "Content-Range", "X-Request-Id", *_TUS],
        )
    return app


_TUS = ("Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Metadata", "Upload-Checksum")


def _include_routers(app: FastAPI) -> None:
    protected = APIRouter(prefix=PREFIX, dependencies=[Depends(caller)])
    results = (models, rollouts, evaluations, exports, lineage)
    worlds = (sim, policies)
    # A request is compared with one router after the other: what is asked most comes first.
    for module in (
        jobs,
        *worlds,
        uploads,
        detections,
        datasets,
        pipelines,
        *results,
        specs,
        admin,
        webhooks,
    ):
        protected.include_router(module.router)
    signed = APIRouter(prefix=PREFIX)
    signed.include_router(datasets.videos)
    signed.include_router(rollouts.videos)
    signed.include_router(models.downloads)
    signed.include_router(exports.downloads)
    signed.include_router(sim_stream.sockets)
    opened = (operations.open_router, play.open_router, docs.router)
    for router in (protected, signed, *opened, operations.router):
        app.include_router(router)


def _install_errors(app: FastAPI) -> None:
    def unknown_input(error: UnknownInput) -> Problem:
        fields = [{"field": error.field, "message": str(error)}]
        return Problem(422, "An input does not exist", str(error), errors=fields)

    def gone(title: str) -> Callable[[Any], Problem]:
        return lambda error: Problem(404, title, str(error))

    def over(error: QuotaExceeded) -> Problem:
        return Problem(413, "The project's quota is used up", str(error))

    def conflict(title: str) -> Callable[[Any], Problem]:
        return lambda error: Problem(409, title, str(error))

    errors.install(
        app,
        {
            JobNotFound: gone("No such job"),
            ArtifactNotFound: gone("Not found"),
            UploadNotFound: gone("No such upload"),
            UnknownArtifact: gone("Not found"),
            TokenNotFound: gone("No such token"),
            WebhookNotFound: gone("No such webhook"),
            QuotaExceeded: over,
            StillNeeded: conflict("Something needs it"),
            IllegalTransition: conflict("The job's state does not allow this"),
            IdempotencyConflict: conflict("The key was used before"),
            UnknownInput: unknown_input,
            StoreFull: lambda _: Problem(
                507,
                "The service's disk is full",
                "Free space on the disk of its database; nothing was changed",
                headers={"Retry-After": "30"},
            ),
            StoreUnavailable: lambda _: Problem(
                503,
                "The database is busy",
                "Nothing was changed; try again",
                headers={"Retry-After": "2"},
            ),
        },
    )


def _body_limit(settings: Settings) -> Callable[[Scope], BodyLimit]:
    chunks = BodyLimit(None, settings.body_seconds)
    bodies = BodyLimit(settings.max_body_bytes, settings.body_seconds)
    pictures = BodyLimit(policies.MOST_BODY_BYTES, settings.body_seconds)

    def limit(scope: Scope) -> BodyLimit:
        # Bytes of uploads go to the disk as they come, and the handler counts them.
        chunk = scope["method"] == "PATCH" and scope["path"].startswith(f"{PREFIX}/uploads/")
        asked = scope["path"].startswith(f"{PREFIX}/policies/")
        return chunks if chunk else pictures if asked else bodies

    return limit


def _lifespan(settings: Settings) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = await run_sync(_open, settings)
        app.state.services = services
        app.state.registry.register(Telemetry(services))
        async with create_task_group() as group:
            group.start_soon(_sweep, services)
            group.start_soon(_watch, services)
            sender = Sender(
                services.store,
                private=settings.webhook_private,
                every=settings.webhook_seconds,
            )
            group.start_soon(sender.run)
            try:
                yield
            finally:
                group.cancel_scope.cancel()
        await services.simulator.close()
        await run_sync(services.store.close)

    return lifespan


def _open(settings: Settings) -> Services:
    settings.home.mkdir(parents=True, exist_ok=True)
    artifacts = Artifacts(settings.home.resolve())
    store = Store.open(settings.environment.database_url)
    return Services(
        settings=settings,
        store=store,
        artifacts=artifacts,
        uploads=Uploads(artifacts, store),
        sizes=Sizes(artifacts.root),
        simulator=Simulator(simulator_socket(artifacts.root)),
        failed_logins=FailedLogins(settings.failed_logins_per_minute),
        rates=Rates(settings.requests_per_second),
        heartbeats=Heartbeats(),
        readiness=Readiness(artifacts.root),
        signer=Signer(load_secret(settings.home / "secret"), settings.signed_url_seconds),
    )


async def _watch(s: Services) -> None:
    """Look at heartbeats often enough to tell how old they are."""
    while True:
        with suppress(StoreError):
            s.heartbeats.look(await run_sync(s.store.running))
        await sleep(5)


async def _sweep(s: Services) -> None:
    """Remove abandoned uploads and old logs of deliveries once an hour."""
    while True:
        try:
            await run_sync(s.uploads.remove_abandoned, s.settings.upload_days * 86_400)
            await run_sync(s.store.forget_deliveries, KEPT_DELIVERY_DAYS)
        except (StoreError, OSError) as error:
            log.warning("what is old stays for another hour: %s", error)
        await sleep(3600)
