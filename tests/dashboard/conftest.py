"""A real API on a real store with real artifacts, and the dashboard in front of it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import dashboard
from api.main import create_app
from api.settings import Settings
from core.artifacts import Artifacts
from core.jobs.store import Store
from foglab.client import ServiceClient
from tests.api.conftest import serve
from tests.dashboard.makers import Lab, make_lab

SCRIPT = Path(dashboard.__file__).parent / "streamlit_app.py"


@dataclass(frozen=True)
class Service:
    """A running API and what tests reach behind it."""

    url: str
    token: str
    store: Store
    artifacts: Artifacts
    dashboard_url: str
    """Origin that the API lets read from a browser; nobody need listen there."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(autouse=True)
def _own_main_module() -> Iterator[None]:
    """Streamlit makes a page the process's `__main__`, which processes spawned later would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="module")
def service(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    shutil.copyfile(sqlite_template, home / "foglab.db")
    origin = f"http://127.0.0.1:{free_port()}"
    app = create_app(
        Settings(home=home, database_url=f"sqlite:///{home / 'foglab.db'}", cors_origins=(origin,))
    )
    with serve(app) as url:
        services = app.state.services
        token = services.store.create_token("tests")
        yield Service(url, token, services.store, services.artifacts, origin)


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[ServiceClient]:
    with ServiceClient(service.url, service.token, patience=2) as client:
        yield client


@pytest.fixture(scope="module")
def lab(service: Service, client: ServiceClient, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    scratch = tmp_path_factory.mktemp("scratch")
    return make_lab(client, service.store, service.artifacts, scratch)


@pytest.fixture
def visitor(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The dashboard before anybody has signed in."""
    monkeypatch.setenv("FOGLAB_URL", service.url)
    monkeypatch.delenv("FOGLAB_PUBLIC_URL", raising=False)
    yield AppTest.from_file(str(SCRIPT), default_timeout=60)
    st.cache_resource.clear()  # closes the sessions' connections
    st.cache_data.clear()


@pytest.fixture
def app(visitor: AppTest, service: Service) -> AppTest:
    """The home page of a signed-in user."""
    visitor.query_params["token"] = service.token
    return visitor.run()


def opened(app: AppTest, page: str, **query: str) -> AppTest:
    app.query_params.clear()
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page(f"app_pages/{page}.py").run()
    assert not app.exception, app.exception
    return app


def texts(app: AppTest) -> str:
    """All words on the page."""
    parts = (app.title, app.markdown, app.caption, app.error, app.warning, app.info, app.success)
    return "\n".join(str(e.value) for group in parts for e in group)


def links(app: AppTest) -> list[str]:
    return [link.proto.label for link in app.get("page_link")]


class streamlit_server:
    """Context: the dashboard as `foglab up` starts it."""

    def __init__(self, service: Service, log: Path) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("FOGLAB_")}
        port = service.dashboard_url.rsplit(":", 1)[1]
        options = {"address": "127.0.0.1", "port": port, "headless": "true"}
        flags = [f"--server.{name}={value}" for name, value in options.items()]
        self._url, self._log = service.dashboard_url, log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", str(SCRIPT), *flags],
            env={**environ, "FOGLAB_URL": service.url},
            cwd=log.parent,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> str:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                httpx.get(f"{self._url}/_stcore/health").raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.1)
            else:
                return self._url
        self.__exit__()
        raise TimeoutError(f"the dashboard did not start: {Path(self._log.name).read_text()}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()
