"""P2, P3, P9: the broker may vanish, hang, forget and repeat; no job is lost or runs twice."""

import signal
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.jobs.hints import TASKS
from core.jobs.records import JobState
from core.jobs.spec import Kind
from tests.faults.conftest import LONG, Record, rounds
from tests.faults.lab import PATIENCE, Lab, running_lab
from tests.worker.conftest import wait_until
from worker.app import make_app

CUT_SECONDS = 60.0 if LONG else 2.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Lab]:
    # a loaded machine is slow, not dead
    patient = {"FOGLAB_LEASE_SECONDS": "120"}
    with running_lab(tmp_path_factory.mktemp("lab"), sqlite_template, **patient) as one:
        yield one


def killed(lab: Lab) -> Callable[[], None]:
    lab.broker.kill()
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
        lab.until_final(short)
        waits.append(time.monotonic() - began)
        assert lab.row(long_one).state is JobState.RUNNING
        lab.store.request_cancel(long_one)
        lab.until_final(long_one)
    record(
        "P9",
        what="short job beside a long one, from post to end",
        tried=many,
        held=many,
        slowest_seconds=round(max(waits), 2),
    )
