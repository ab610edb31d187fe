"""`foglab demo`: one JSON object at the end, whatever is killed on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.jobs.replies import Job
from foglab.demo import summarise, summary_table

KEYS = [
    "task",
    "dataset",
    "episodes",
    "global_model",
    "local_model",
    "policy",
    "psnr_1",
    "psnr_10",
    "static_psnr_1",
    "static_psnr_10",
    "gradient_cosine",
    "imagined_return",
    "real_success",
    "random_success",
    "imagined_frames",
    "seconds",
]
SECONDS = ["ingest", "global", "local", "policy", "evaluate"]
DEMO = ["demo", "--preset", "smoke", "--episodes", "3", "--no-dashboard"]


@contextmanager
def started(environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A demo, which is killed if a test leaves it."""
    command = [sys.executable, "-m", "foglab.cli", *DEMO]
    with subprocess.Popen(
        command, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def finished(demo: subprocess.Popen[str], timeout: float = 240) -> dict[str, Any]:
    """The summary of a demo that ended well."""
    out, err = demo.communicate(timeout=timeout)
    assert demo.returncode == 0, f"{out}\n{err}"
    summary: dict[str, Any] = json.loads(out.splitlines()[-1])
    assert list(summary) == KEYS
    assert list(summary["seconds"]) == SECONDS
    return summary


def state(home: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((home / "run" / "service.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def wait_for(what: Callable[[], object], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def leftovers(home: Path) -> list[str]:
    """Programs that still run for this home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("FOGLAB_HOME") == str(home):
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


@pytest.mark.slow
def test_demo_ends_right_though_every_program_is_killed(quick_environ: dict[str, str]) -> None:
    home = Path(quick_environ["FOGLAB_HOME"])
    runs = home / "runs"
    environ = {**quick_environ, "KEEP": "0", "FOGLAB_TEST_STAGE_SECONDS": "1.5"}
    with started(environ) as demo:
        for program, jobs in (("api", 2), ("worker-gpu", 2), ("supervisor", 3)):
            wait_for(lambda n=jobs: runs.exists() and len(list(runs.iterdir())) >= n)  # type: ignore[misc]
            wait_for(lambda p=program: p in state(home).get("pids", {}))  # type: ignore[misc]
            os.kill(state(home)["pids"][program], signal.SIGKILL)
        summary = finished(demo)
    assert summary["task"] == "push_disc"
    assert summary["episodes"] == 3
    assert summary["real_success"] == 0.5
    assert summary["imagined_frames"] == 4096
    assert all(seconds > 0 for seconds in summary["seconds"].values())
    wait_for(lambda: not leftovers(home))


def test_second_run_goes_on_and_stays_up_until_it_is_interrupted(
    quick_environ: dict[str, str],
) -> None:
    home = Path(quick_environ["FOGLAB_HOME"])
    environ = {**quick_environ, "FOGLAB_TEST_STAGE_SECONDS": "0.1"}
    with started(environ) as first:
        wait_for(lambda: (home / "runs").exists())
    wait_for(lambda: not leftovers(home))
    with started(environ) as demo:
        assert demo.stdout is not None
        lines = list[str]()
        while not (lines and lines[-1].startswith("{")):
            lines.append(demo.stdout.readline())
            assert lines[-1], f"the demo ended: {demo.communicate()[1]}"
        assert any(line.startswith("Token:") for line in lines)
        assert len(list((home / "uploads").iterdir())) == 1
        assert len(list((home / "runs").iterdir())) == 6
        assert state(home)
        demo.send_signal(signal.SIGTERM)
        rest, err = demo.communicate(timeout=150)
    assert first.returncode == -signal.SIGKILL
    assert rest == ""
    assert demo.returncode == 0, err
    assert not leftovers(home)


def ended(kind: str, result: dict[str, Any] | None = None) -> Job:
    return Job(
        id="job_0123456789abcdef",
        kind=kind,
        name=kind,
        status="succeeded",
        spec={},
        output_id=f"{kind[:2]}_0123456789abcdef",
        result=result,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        seconds=61.0,
    )


def test_figures_that_nobody_measured_are_null() -> None:
    kinds = ("ingest", "global_model", "local_model", "policy", "evaluate", "rollout")
    summary = summarise("push_t", {k: ended(k) for k in kinds}, None)
    assert list(summary) == KEYS
    assert summary["real_success"] is None
    assert summary["seconds"]["global"] == 61.0
    json.dumps(summary, allow_nan=False)
    assert summary_table(summary).row_count == 11
