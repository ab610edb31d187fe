"""The whole service on one machine: broker, API, simulator, workers and dashboard, supervised."""

import contextlib
import importlib.util
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from core.jobs.environment import Environment
from core.jobs.migrate import upgrade
from core.stop_flag import StopFlag
from foglab import broker
from foglab.installation import CannotStart, ensure_token, hold, state_file, tell
from foglab.sockets import HOST, listen, wait_for
from foglab.supervisor import Program, Supervisor

API_PORT, DASHBOARD_PORT = 8000, 8501
QUEUES = ("ingest", "gpu")
_PASSWORD_FILES = ("FOGLAB_DATABASE_PASSWORD_FILE", "FOGLAB_BROKER_PASSWORD_FILE")
_NOT_FOR_DASHBOARD = ("FOGLAB_DATABASE_URL", "FOGLAB_BROKER_URL", "FOGLAB_TOKEN")


@dataclass(frozen=True)
class Addresses:
    """Where the service answers."""

    api_url: str
    dashboard_url: str | None
    token: str | None
    """For the local command line; None if the installation's token is not kept here."""
    token_is_new: bool


class Service:
    """Starts on entry, stops on exit. Any program that dies in between is started again."""

    def __init__(
        self,
        home: Path | None = None,
        api_port: int | None = None,
        dashboard_port: int | None = None,
        with_dashboard: bool = True,
    ) -> None:
        environ = {**os.environ, **({"FOGLAB_HOME": str(home)} if home else {})}
        self.environment = Environment.read(environ)
        self._own_broker = not environ.get("FOGLAB_BROKER_URL")
        self._ports = (api_port, dashboard_port)
        self._with_dashboard = with_dashboard
        self._supervisor: Supervisor | None = None
        self._cleanup = contextlib.ExitStack()

    def start(self) -> Addresses:
        """Raises `CannotStart`; then nothing is left running."""
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Workers save their running jobs' checkpoints and give them back to the queue."""
        if self._supervisor is not None:
            self._supervisor.stop()
        self._cleanup.close()

    def __enter__(self) -> Addresses:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self) -> Addresses:
        home = self.environment.home
        for folder in (home, home / "run", home / "logs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._cleanup.enter_context(hold(home))
        upgrade(self.environment.database_url)
        token, is_new = ensure_token(self.environment)
        api = self._cleanup.enter_context(listen("API", self._ports[0], API_PORT))
        api_url = f"http://{HOST}:{api.getsockname()[1]}"
        dashboard_url = None
        if self._with_dashboard:
            with listen("dashboard", self._ports[1], DASHBOARD_PORT) as probe:
                dashboard_url = f"http://{HOST}:{probe.getsockname()[1]}"
        told = {"api_url": api_url, "dashboard_url": dashboard_url}
        self._cleanup.callback(state_file(home).unlink, missing_ok=True)
        self._supervisor = Supervisor(
            self._programs(api, api_url, dashboard_url, lock),
            lambda pids: tell(home, {**told, "pids": {"supervisor": os.getpid(), **pids}}),
        )
        self._supervisor.start()
        wait_for(f"{api_url}/healthz", self._supervisor, home / "logs" / "api.log")
        if dashboard_url is not None:
            log = home / "logs" / "dashboard.log"
            wait_for(f"{dashboard_url}/_stcore/health", self._supervisor, log)
        return Addresses(api_url, dashboard_url, token, is_new)

    def _programs(
        self, api: socket.socket, api_url: str, dashboard_url: str | None, lock: int
    ) -> list[Program]:
        logs = self.environment.home / "logs"
        # The addresses below have their passwords already.
        inherited = {k: v for k, v in os.environ.items() if k not in _PASSWORD_FILES}
        environ = {**inherited, **self.environment.variables(), "FOGLAB_URL": api_url}
        environ.setdefault("FOGLAB_PUBLIC_URL", api_url)
        environ["PYTHONUNBUFFERED"] = "1"
        if dashboard_url is not None:
            origins = [dashboard_url, dashboard_url.replace(HOST, "localhost")]
            environ.setdefault("FOGLAB_CORS_ORIGINS", json.dumps(origins))
        programs = []
        if self._own_broker:
            own = broker.program(self.environment.home, logs / "broker.log", environ, lock)
            programs += [own] if own is not None else []
        descriptor = api.fileno()
        command = [sys.executable, "-m", "api", "--fd", str(descriptor)]
        fds = (lock, descriptor)
        programs.append(Program("api", command, logs / "api.log", environ, fds, stop_seconds=8))
        simulator, log = [sys.executable, "-m", "worker.simulator"], logs / "simulator.log"
        programs.append(Program("simulator", simulator, log, environ, (lock,), stop_seconds=5))
        for queue in QUEUES:
            name = f"worker-{queue}"
            log = logs / f"{name}.log"
            programs.append(Program(name, _worker(queue), log, environ, (lock,), stop_seconds=30))
        if dashboard_url is not None:
            programs.append(_dashboard(dashboard_url, logs / "dashboard.log", environ, lock))
        return programs


def run(
    home: Path | None = None,
    api_port: int | None = None,
    dashboard_port: int | None = None,
    with_dashboard: bool = True,
) -> int:
    """Run the service until SIGINT or SIGTERM; returns the exit code."""
    stopping = StopFlag()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stopping.set())
    try:
        with Service(home, api_port, dashboard_port, with_dashboard) as addresses:
            print(greeting(addresses), flush=True)
            while not stopping.wait(60.0):
                pass
            print("Stopping; running jobs save a checkpoint and continue at the next start.")
    except CannotStart as error:
        print(f"foglab up: {error}", file=sys.stderr)
        return 1
    return 0


def greeting(addresses: Addresses) -> str:
    """What to open, and what to type there."""
    lines = [f"API        {addresses.api_url}/docs"]
    if addresses.dashboard_url is not None:
        lines.insert(0, f"Dashboard  {addresses.dashboard_url}")
    if addresses.token_is_new:
        lines.append(f"Token      {addresses.token}   (shown once)")
    return "\n".join(lines)


def _worker(queue: str) -> list[str]:
    """One process per queue; its settings are in worker/app.py."""
    command = [sys.executable, "-m", "celery", "-q", "-A", "worker.app", "worker", "-l", "INFO"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return [*command, "-Q", queue, "-n", f"{queue}@%h", *quiet]


def _dashboard(url: str, log: Path, environ: Mapping[str, str], lock: int) -> Program:
    """It talks to the API with its user's token, so it gets no other way in."""
    script = _folder_of("dashboard") / "streamlit_app.py"
    options = {
        "server.address": HOST,
        "server.port": url.rsplit(":", 1)[1],
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    own = {k: v for k, v in environ.items() if k not in _NOT_FOR_DASHBOARD}
    command = [sys.executable, "-m", "streamlit", "run", str(script), *flags]
    return Program("dashboard", command, log, own, (lock,), stop_seconds=5)


def _folder_of(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise CannotStart(f"the package {package!r} is not installed")
    return Path(found.origin).parent
