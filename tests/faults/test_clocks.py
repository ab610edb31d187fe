"""P8: no clock that is wrong makes a job start twice or lose its lease."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import LONG, Record, rounds
from tests.faults.lab import PATIENCE, Api, Lab, Worker, running_lab
from tests.worker.conftest import wait_until

LEASE = 8.0 if LONG else 4.0
WRONG = [("+2h", "-2h"), ("-2h", "+2h"), ("+0 x1.10", "+0 x0.90"), ("+0 x0.90", "+0 x1.10")]


class Clock:
    """The wall clock of one process, by libfaketime: what `set` says holds within a second or two."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set("+0")
        self.environ = {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # no step of a wall clock moves it
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: str) -> None:
        """As faketime writes offsets: "+2h", or "+0 x1.10" for one that runs ahead."""
        self._file.write_text(offset + "\n")


def _library() -> Path:
    program = shutil.which("faketime")
    assert program is not None, "no faketime: apt-get install faketime"
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clock]:
    folder = tmp_path_factory.mktemp("clocks")
    return {who: Clock(folder / who) for who in ("worker", "api")}


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, clocks: dict[str, Clock]
) -> Iterator[Lab]:
    """One worker and one of two APIs have clocks of their own."""
    home = tmp_path_factory.mktemp("lab")
    lease = {"FOGLAB_LEASE_SECONDS": str(LEASE)}
    with running_lab(home, sqlite_template, workers=0, **lease) as one:
        api = Api(one.rig, **clocks["api"].environ)
        one.workers.append(Worker(one.rig, **clocks["worker"].environ))
        wait_until(lambda: one.rig.said("ready.") == 1, 240)
        yield one
        api.client.close()


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "apis"), WRONG)
def test_wrong_clocks_repeat_no_job_and_take_none_away(
    lab: Lab, clocks: dict[str, Clock], workers: str, apis: str, record: Record
) -> None:
    """While a job runs, the clocks of its worker and of an API that watches it go wrong."""
    many = rounds(1, 10)
    for _ in range(many):
        job = lab.post(steps=int(100 * 1.5 * LEASE))
        wait_until(lambda job=job: lab.starts(job) == 1, PATIENCE)
        clocks["worker"].set(workers)
        clocks["api"].set(apis)
        lab.check_once([job, lab.post()])
        clocks["worker"].set("+0")
        clocks["api"].set("+0")
    what = f"clock of the worker {workers}, of an API {apis}, job of 1.5 leases"
    record("P8", what=what, tried=many, held=many, twice=0, leases_lost=0)


def test_clock_that_is_set_wrong_is_what_the_process_sees(
    lab: Lab, clocks: dict[str, Clock]
) -> None:
    """Or the tests above would show nothing."""
    clocks["worker"].set("+2h")
    time.sleep(2.5)
    job = lab.until_final(lab.post())
    clocks["worker"].set("+0")
    assert job.finished_at is not None
    assert job.finished_at - job.created_at > 7000
