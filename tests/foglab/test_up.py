"""The service on one machine, and what happens when parts of it are killed."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from foglab import broker
from foglab.broker import find_server
from foglab.installation import CannotStart
from foglab.sockets import HOST, listen
from foglab.supervisor import Program, Supervisor
from foglab.up import Addresses, Service, greeting

PROGRAMS = ("broker", "api", "simulator", "worker-ingest", "worker-gpu", "dashboard")


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this took too long"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def state(home: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((home / "run" / "service.json").read_text())
    return content


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Deeper than a socket's path may be."""
    return tmp_path_factory.mktemp("deep") / ("x" * 120)


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[Addresses]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("FOGLAB_")]:
            patch.delenv(name)
        one = Service(home)
        addresses = one.start()
        pids = state(home)["pids"]
        assert set(pids) == {"supervisor", *PROGRAMS}
        yield addresses
        pids = [pid for name, pid in state(home)["pids"].items() if name != "supervisor"]
        one.stop()
        assert all(gone(pid) for pid in pids)
        assert not (home / "run" / "service.json").exists()


def test_api_takes_the_first_token_and_nothing_else(service: Addresses, home: Path) -> None:
    jobs = f"{service.api_url}/api/v1/jobs"
    assert httpx.get(jobs).status_code == 401
    given = {"Authorization": f"Bearer {service.token}"}
    assert httpx.get(jobs, headers=given).status_code == 200
    kept = home / "token"
    assert kept.read_text().strip() == service.token
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_doctor_finds_nothing_wrong(service: Addresses, home: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("FOGLAB_")}
    doctor = [sys.executable, "-m", "foglab.cli", "--json", "doctor"]

    def wrong() -> list[dict[str, Any]]:
        done = subprocess.run(
            doctor,
            env={**environ, "FOGLAB_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)
        assert {f["what"] for f in found} >= {"Broker", "Workers", "Simulator", "Dashboard"}
        return [f for f in found if not f["well"] and f["what"] not in ("Isolation", "Disk")]

    wait_until(lambda: not wrong(), 120)  # workers speak up once they have loaded


def test_dashboard_answers_and_is_named(service: Addresses) -> None:
    assert service.dashboard_url is not None
    assert httpx.get(service.dashboard_url).status_code == 200
    assert service.dashboard_url in greeting(service)
    assert str(service.token) in greeting(service)


def test_dashboard_gets_no_way_into_the_database(service: Addresses, home: Path) -> None:
    environ = psutil.Process(state(home)["pids"]["dashboard"]).environ()
    assert environ["FOGLAB_URL"] == service.api_url
    assert "FOGLAB_DATABASE_URL" not in environ
    assert "FOGLAB_TOKEN" not in environ


@pytest.mark.parametrize("name", PROGRAMS)
def test_killed_program_is_started_again(service: Addresses, home: Path, name: str) -> None:
    old = state(home)["pids"][name]
    os.kill(old, signal.SIGKILL)
    # The listening socket outlives the API, so a request waits for the new one.
    assert httpx.get(f"{service.api_url}/readyz", timeout=60).status_code == 200
    wait_until(lambda: state(home)["pids"][name] != old)
    assert not gone(state(home)["pids"][name])


def test_second_service_on_the_same_home_is_refused(service: Addresses, home: Path) -> None:
    with pytest.raises(CannotStart, match=f"running already: {service.api_url}"):
        Service(home, with_dashboard=False).start()
    assert httpx.get(f"{service.api_url}/healthz").status_code == 200


_UP = "import sys; from foglab import up; sys.exit(up.run(with_dashboard=False))"


def test_everything_dies_with_the_supervisor_and_starts_again(tmp_path: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("FOGLAB_")}
    environ["FOGLAB_HOME"] = str(tmp_path)
    shown = []
    for end in (signal.SIGKILL, signal.SIGTERM):
        with (
            (tmp_path / "out").open("w") as out,
            subprocess.Popen([sys.executable, "-c", _UP], stdout=out, env=environ) as process,
        ):
            try:
                wait_until(lambda: "API" in (tmp_path / "out").read_text())
                pids = state(tmp_path)["pids"]
                assert pids["supervisor"] == process.pid
                process.send_signal(end)
                process.wait(30)
            finally:
                process.kill()  # else a failure here would wait for it for ever
        assert process.returncode == (0 if end is signal.SIGTERM else -end)
        wait_until(lambda pids=pids: all(gone(p) for p in pids.values()), 20)
        shown.append((tmp_path / "out").read_text())
    assert "shown once" in shown[0]
    assert "shown once" not in shown[1]


def test_taken_port_is_refused_when_named_and_avoided_when_not() -> None:
    with socket.create_server((HOST, 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(CannotStart, match=f"port {taken} for the API"), listen("API", taken, 1):
            pass
        with listen("API", None, taken) as free:
            assert free.getsockname()[1] not in (0, taken)


def test_broker_that_cannot_read_its_data_starts_empty(tmp_path: Path) -> None:
    data = tmp_path / "run" / "broker"
    data.mkdir(parents=True)
    (data / "appendonly.aof").write_text("not what it wrote\n")
    with (tmp_path / "lock").open("w") as lock:
        program = broker.program(tmp_path, tmp_path / "log", os.environ, lock.fileno())
        assert program is not None
        supervisor = Supervisor([program], lambda _: None)
        supervisor.start()
        try:
            log = tmp_path / "log"
            wait_until(lambda: log.exists() and "ready to accept" in log.read_text())
        finally:
            supervisor.stop()
    assert program.quick_deaths >= 3


def test_program_that_dies_at_once_is_started_ever_later(tmp_path: Path) -> None:
    program = Program("short", [sys.executable, "-S", "-c", ""], tmp_path / "log", os.environ)
    supervisor = Supervisor([program], lambda _: None)
    supervisor.start()
    time.sleep(2.5)
    supervisor.stop()
    assert 2 <= program.quick_deaths <= 4


def test_a_server_for_the_broker_is_here() -> None:
    server = find_server()
    assert server is not None
    told = subprocess.run([server, "--version"], capture_output=True, text=True, check=True)
    assert "server v=" in told.stdout
