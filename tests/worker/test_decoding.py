"""What reads uploads is confined: the real job process and sandbox, a stage that misbehaves."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.jobs.records import Job, JobState
from core.jobs.spec import DetectSpec
from core.sandbox import support
from tests.worker.conftest import Lab
from worker.decoding import REASONS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that would answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def probed(lab: Lab, monkeypatch: pytest.MonkeyPatch, probe: str, port: int = 1) -> Job:
    """The job whose decoder did what `probe` names, after its last attempt."""
    monkeypatch.setenv("FOGLAB_TEST_PROBE", probe)
    monkeypatch.setenv("PROBE_PORT", str(port))
    database = lab.settings.environment.database_url.removeprefix("sqlite:///")
    monkeypatch.setenv("PROBE_DATABASE", database)
    upload = lab.store.register_upload("up_" + "7" * 32, "logs.zip", 4, "0" * 64)
    for folder in (lab.artifacts.upload(upload.id), lab.settings.home / "uploads" / "other"):
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(b"logs")
    job = lab.store.submit(DetectSpec(upload=upload.id), "probe")
    ended = lab.launcher.run(job.id)
    assert ended is not None
    return ended


def code_of(job: Job) -> str:
    """The code at the end of a failed job's reason."""
    assert job.state is JobState.FAILED
    assert job.attempt == 1
    found = re.search(r"\[(\w+)\]$", str(job.error))
    assert found is not None, job.error
    return found[1]


@pytest.mark.parametrize(
    ("probe", "code", "needs"),
    [
        ("connect", "decode_forbidden", "seccomp"),
        ("read_passwd", "decode_forbidden", "landlock"),
        ("fork_bomb", "decode_forbidden", "seccomp"),
        ("allocate", "decode_limit_memory", ""),
        ("loop", "decode_limit_time", ""),
        ("fill_disk", "decode_limit_disk", ""),
        ("fill_with_files", "decode_limit_disk", ""),
        ("crash", "decode_crashed", ""),
        ("wait", "decode_limit_time", ""),
        ("recurse", "decode_error", ""),
    ],
)
def test_what_a_decoder_must_not_do_is_stopped_and_reported(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, port: int, probe: str, code: str, needs: str
) -> None:
    if needs and not getattr(support(), needs):
        pytest.fail(f"this kernel has no {needs}: uploads are not isolated here")
    monkeypatch.setenv("FOGLAB_DECODE_SECONDS", "1" if probe in ("loop", "wait") else "60")
    monkeypatch.setenv("FOGLAB_DECODE_DISK_MB", "20")
    if probe == "wait":
        monkeypatch.setenv("FOGLAB_DECODE_WAIT_FACTOR", "2")
    ended = probed(lab, monkeypatch, probe, port)
    assert code_of(ended) == code
    assert code in REASONS
    assert ended.progress is not None
    assert ended.progress["message"] == "about to misbehave"
    assert not list((lab.settings.home / "detections").glob("*"))
    assert not list(lab.folder(ended).glob("attempt-*"))


def test_decoder_reaches_nothing_but_its_input_and_its_folder(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert support().full, support().missing
    ended = probed(lab, monkeypatch, "everything")
    assert ended.result == {"did": []}
    assert not (lab.settings.home / "canary").exists()


def test_log_says_what_confines_the_decoder(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = probed(lab, monkeypatch, "read_passwd")
    told = (lab.folder(ended) / "log.txt").read_text()
    assert "decoding is confined by Landlock" in told
    assert "1500 MB of memory, 60 s of processor time" in told
    assert ended.progress is not None


PLAIN_USER = """
import os, sys, tempfile
from pathlib import Path
from core import sandbox
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
home = Path(tempfile.mkdtemp())
(home / "in").mkdir(); (home / "out").mkdir(); (home / "other").write_text("secret")
limit = sandbox.Limits.of(sandbox.DecodeSettings(), 0, home)
isolation = sandbox.confine(home / "in", home / "out", home, limit)
done = []
for name, attempt in {
    "read": lambda: (home / "other").read_text(),
    "write": lambda: (home / "other").write_text("gone"),
    "fork": os.fork,
}.items():
    try:
        attempt()
        done.append(name)
    except PermissionError:
        pass
(home / "out" / "file").write_text("fine")
sys.stdout.write(f"{os.getuid() > 0} {isolation.full} {done}")
"""


def test_confinement_needs_no_privileges() -> None:
    """As in a container that runs as a user without rights."""
    ran = subprocess.run(
        [sys.executable, "-c", PLAIN_USER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ran.stdout, ran.stderr) == ("True True []", "")
