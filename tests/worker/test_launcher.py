"""One attempt at a time, with a real job process."""

import hashlib
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from core.jobs.records import Job, JobState, Silence
from tests.worker.conftest import Lab, alive, wait_until
from tests.worker.overlay.counting import (
    BREAKS,
    COUNTS,
    DIES_ONCE,
    EXITS,
    HANGS,
    HAS_CHILD,
    HOLDS_THE_LOCK,
    KILLS_ITSELF,
    RAISES,
)
from worker.launcher import Launcher
from worker.settings import WorkerSettings


class Running:
    """The launcher at work in a thread."""

    def __init__(self, lab: Lab, job: Job) -> None:
        self.lab, self.job = lab, job
        self.ended: Job | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.ended = self.lab.launcher.run(self.job.id)

    def until_saved(self) -> None:
        """Let it count past its first checkpoint."""
        wait_until(lambda: self.lab.checkpoints(self.job))

    def join(self) -> Job | None:
        self.thread.join(30)
        assert not self.thread.is_alive()
        return self.ended


def run(lab: Lab, job: Job) -> Job:
    ended = lab.launcher.run(job.id)
    assert ended is not None
    return ended


def test_success_publishes_the_artifact_with_its_checksums(lab: Lab) -> None:
    job = lab.submit(COUNTS)
    ended = run(lab, job)
    assert (ended.state, ended.result) == (JobState.SUCCEEDED, {"steps": 20})
    assert ended.progress is not None
    assert (ended.progress["done"], ended.progress["total"]) == (20, 20)
    model = lab.artifacts.model(job.output_id)
    sums = json.loads((model / "manifest.json").read_text())["files"]
    assert set(sums) == {p.name for p in model.iterdir()} - {"manifest.json"}
    assert {"config.json", "model.safetensors", "spec.json", "metrics.jsonl"} <= set(sums)
    for name, entry in sums.items():
        content = (model / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    lineage = json.loads((model / "lineage.json").read_text())
    assert lineage == {"id": job.output_id, "job": job.id, "inputs": {"dataset": lab.dataset}}
    assert lab.store.get_artifact(job.output_id).lineage == (lab.dataset,)
    assert lab.metrics(job) == list(range(1, 21))
    assert not list(lab.folder(job).glob("attempt-*"))


def test_bad_input_fails_with_the_words_of_the_stage(lab: Lab) -> None:
    job = lab.submit(RAISES)
    ended = run(lab, job)
    expected = "episode 3: action has 5 columns, 2 expected; fix the log"
    assert (ended.state, ended.error) == (JobState.FAILED, expected)
    assert "Traceback" in (lab.folder(job) / "log.txt").read_text()
    assert not lab.artifacts.model(job.output_id).exists()


def test_unexpected_error_fails_without_traceback_or_place(lab: Lab) -> None:
    ended = run(lab, lab.submit(BREAKS))
    assert ended.state is JobState.FAILED
    assert str(ended.error).startswith("RuntimeError: cannot open secret/place")
    assert str(lab.settings.home) not in str(ended.error)


def test_killed_job_process_resumes_from_its_checkpoint(lab: Lab) -> None:
    job = lab.submit(DIES_ONCE)
    again = run(lab, job)
    assert (again.state, again.attempt) == (JobState.QUEUED, 1)
    assert "killed (SIGKILL)" in str(again.error)
    ended = run(lab, job)
    assert (ended.state, ended.attempt, ended.error) == (JobState.SUCCEEDED, 2, None)
    assert lab.starts(job) == [0, 10]
    assert lab.metrics(job) == list(range(1, 21))


def test_poison_job_stops_after_three_starts(lab: Lab) -> None:
    job = lab.submit(KILLS_ITSELF)
    for _ in range(5):
        lab.launcher.run(job.id)
    ended = lab.store.get(job.id)
    assert (ended.state, len(lab.starts(job))) == (JobState.FAILED, 3)
    assert ended.error == (
        "the job process was killed (SIGKILL), most likely because memory ran out; "
        "gave up after 3 attempts"
    )


def test_exit_code_and_last_words_are_told(lab: Lab) -> None:
    again = run(lab, lab.submit(EXITS))
    assert again.error == "the job process ended with exit code 7: the driver is too old"


def test_cancel_leaves_a_checkpoint_and_publishes_nothing(lab: Lab) -> None:
    running = Running(lab, lab.submit(COUNTS, steps=100_000))
    running.until_saved()
    lab.store.request_cancel(running.job.id)
    ended = running.join()
    assert ended is not None
    assert ended.state is JobState.CANCELLED
    assert lab.saved(running.job) == lab.metrics(running.job)[-1]
    assert lab.store.list_artifacts(kind=running.job.kind) == []
    assert not lab.artifacts.model(running.job.output_id).exists()


def test_job_that_ignores_cancel_is_killed(lab: Lab) -> None:
    running = Running(lab, lab.submit(HANGS))
    pid = lab.pid(running.job)
    lab.store.request_cancel(running.job.id)
    ended = running.join()
    assert ended is not None
    assert ended.state is JobState.CANCELLED
    assert not alive(pid)


def test_job_that_hangs_in_native_code_is_ended_and_tells_where_it_was(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOGLAB_STALL_SECONDS", "3")
    lab.launcher = Launcher(lab.store, WorkerSettings(), lab.stopping)
    job = lab.submit(HOLDS_THE_LOCK)
    again = run(lab, job)
    assert (again.state, again.attempt) == (JobState.QUEUED, 1)
    assert str(again.error).startswith("the job process hung: for 0.05 minutes")
    assert "misbehave" in (lab.folder(job) / "log.txt").read_text()
    assert not alive(lab.pid(job))


def test_polite_stop_loses_no_step_and_no_attempt(lab: Lab) -> None:
    running = Running(lab, lab.submit(COUNTS, steps=100_000))
    running.until_saved()
    lab.stopping.set()
    ended = running.join()
    assert ended is not None
    assert (ended.state, ended.attempt) == (JobState.QUEUED, 0)
    assert lab.saved(running.job) == lab.metrics(running.job)[-1]
    assert lab.launcher.run(running.job.id) is None


def test_attempt_that_lost_its_claim_stops_and_publishes_nothing(lab: Lab) -> None:
    running = Running(lab, lab.submit(COUNTS, steps=100_000))
    pid = lab.pid(running.job)
    taken = None
    while taken is None:  # it beats in between
        (seen,) = lab.store.running()
        taken = lab.store.requeue_silent(Silence.model_validate(seen), "silent")
    assert running.join() is None
    assert not alive(pid)
    assert lab.store.get(running.job.id) == taken


def test_children_of_the_job_end_with_it(lab: Lab) -> None:
    running = Running(lab, lab.submit(HAS_CHILD, steps=100_000))
    children = _children(lab.pid(running.job))
    lab.store.request_cancel(running.job.id)
    running.join()
    wait_until(lambda: not any(alive(pid) for pid in children))


def test_job_process_holds_no_credentials(lab: Lab) -> None:
    running = Running(lab, lab.submit(COUNTS, steps=100_000))
    environ = Path(f"/proc/{lab.pid(running.job)}/environ").read_text()
    lab.stopping.set()
    running.join()
    assert "FOGLAB_HOME" in environ
    for secret in ("FOGLAB_TOKEN", "FOGLAB_DATABASE_URL", "FOGLAB_BROKER_URL"):
        assert secret not in environ


_LAUNCHER = """
import sys
from core.jobs.store import Store
from core.stop_flag import StopFlag
from worker.launcher import Launcher
from worker.settings import WorkerSettings
settings = WorkerSettings()
store = Store.open(settings.environment.database_url)
Launcher(store, settings, StopFlag()).run(sys.argv[1])
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_job_ends_with_a_checkpoint_when_its_launcher_is(
    lab: Lab, end: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, or paused so long that its lease runs out."""
    monkeypatch.setenv("FOGLAB_LEASE_SECONDS", "5")
    job = lab.submit(HAS_CHILD, steps=100_000)
    with subprocess.Popen([sys.executable, "-c", _LAUNCHER, job.id]) as launcher:
        pid = lab.pid(job)
        tree = [pid, *_children(pid)]
        wait_until(lambda: lab.checkpoints(job))
        launcher.send_signal(end)
        wait_until(lambda: not any(alive(p) for p in tree), 10)
        launcher.kill()
    assert lab.saved(job) == lab.metrics(job)[-1]


def _children(pid: int) -> list[int]:
    wait_until(lambda: psutil.Process(pid).children())
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]
