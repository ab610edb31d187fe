"""What a worker may be told, and what it must not load."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.jobs.environment import Environment
from core.jobs.hints import TASKS
from core.jobs.spec import QUEUES, Kind
from worker.app import app
from worker.process import _environment as job_environment
from worker.settings import WorkerSettings
from worker.words import crash_reason

ELSEWHERE = Environment(Path("/srv/lab"), "sqlite:////srv/lab/foglab.db", "redis://redis:6379/0")


def test_worker_parent_loads_without_torch() -> None:
    code = (
        "import sys, worker.tasks, worker.service, worker.run_job\n"
        "bad = {'torch', 'diffusers', 'cv2', 'av', 'fastapi', 'streamlit'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_kind_has_a_task_in_its_queue() -> None:
    app.loader.import_default_modules()
    assert set(TASKS.values()) <= set(app.tasks)
    routes = app.conf.task_routes
    assert {k: routes[TASKS[k]]["queue"] for k in Kind} == QUEUES


def test_messages_are_hints_and_nothing_else() -> None:
    conf = app.conf
    assert (conf.task_acks_late, conf.worker_disable_prefetch) == (False, True)
    assert (conf.result_backend, conf.task_ignore_result) == (None, True)
    assert (conf.task_serializer, conf.accept_content) == ("json", ["json"])


def test_lease_that_leaves_no_room_to_stop_is_refused() -> None:
    with pytest.raises(ValidationError, match="lease_seconds must exceed"):
        WorkerSettings(lease_seconds=10, stop_seconds=9)
    usual = WorkerSettings()
    assert usual.give_up_seconds + usual.stop_seconds < usual.lease_seconds


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "most likely because memory ran out"),
        (-11, "crashed in native code (SIGSEGV)"),
        (-15, "told to stop by someone outside"),
        (-1, "ended by signal SIGHUP"),
        (3, "ended with exit code 3: CUDA error in models/x"),
    ],
)
def test_death_of_a_job_process_is_put_into_words(tmp_path: Path, code: int, words: str) -> None:
    log = tmp_path / "log.txt"
    log.write_text(f"step 1\nCUDA error in {tmp_path}/models/x\n\n")
    assert words in crash_reason(code, log, tmp_path)
    assert "the job process" in crash_reason(code, tmp_path / "none", tmp_path)


def test_job_process_learns_no_address_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DATABASE_PASSWORD_FILE", "BROKER_URL", "BROKER_PASSWORD_FILE"):
        monkeypatch.setenv(f"FOGLAB_{name}", "secret")
    monkeypatch.setenv("FOGLAB_TOKEN", "secret")
    assert "secret" not in job_environment(WorkerSettings(environment=ELSEWHERE)).values()


def test_threads_of_a_job_sleep_soon_unless_the_lab_says_how_they_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = WorkerSettings(environment=ELSEWHERE)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert int(job_environment(settings)["GOMP_SPINCOUNT"]) < 10_000
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert "GOMP_SPINCOUNT" not in job_environment(settings)
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert job_environment(settings)["GOMP_SPINCOUNT"] == "7"
