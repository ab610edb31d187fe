"""The real application under a real server, on a real store, with a real client."""

import secrets
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from api import server
from api.main import create_app
from api.settings import Settings
from core.artifacts import Artifacts
from core.jobs.store import Store
from foglab.client import ServiceClient
from tests import postgres


@dataclass(frozen=True)
class Service:
    """A running service and what tests reach behind it."""

    app: FastAPI
    url: str
    token: str

    @property
    def store(self) -> Store:
        store: Store = self.app.state.services.store
        return store

    @property
    def artifacts(self) -> Artifacts:
        artifacts: Artifacts = self.app.state.services.artifacts
        return artifacts


both_databases = pytest.mark.parametrize(
    "backend", ["sqlite", "postgresql"], indirect=True, scope="module"
)
"""For files whose tests depend on what the database answers."""


@pytest.fixture(scope="module")
def backend(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture(scope="module")
def database_url(
    backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """An empty, migrated database for one file of tests."""
    if backend == "sqlite":
        path = tmp_path_factory.mktemp("database") / "foglab.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    server = request.getfixturevalue("postgres_server")
    name = f"api_{secrets.token_hex(4)}"
    postgres.execute(server, f"CREATE DATABASE {name} TEMPLATE template")
    return postgres.address(server, name)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Settings:
    return Settings(
        home=tmp_path_factory.mktemp("home"),
        database_url=database_url,
        event_seconds=0.05,
        max_body_bytes=20_000,
        failed_logins_per_minute=1_000_000,
        max_upload_bytes=50 << 20,
        cors_origins=("http://dashboard.test",),
    )


@pytest.fixture(scope="module")
def service(settings: Settings) -> Iterator[Service]:
    """One for all tests of a file: each makes what it needs."""
    app = create_app(settings)
    with serve(app) as url:
        token = app.state.services.store.create_token("tests")
        yield Service(app, url, token)


@pytest.fixture
def http(service: Service) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {service.token}"}
    with httpx.Client(base_url=service.url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture
def client(service: Service) -> Iterator[ServiceClient]:
    with ServiceClient(service.url, service.token, timeout=60, patience=5) as client:
        yield client


class serve:
    """Context: the application on a free port, in a thread."""

    def __init__(self, app: FastAPI, port: int = 0) -> None:
        # asyncio turns Nagle's delay off only where the protocol is named.
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        config = server.config(app, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))

    def __enter__(self) -> str:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the application did not start"
            self._thread.join(0.01)
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
