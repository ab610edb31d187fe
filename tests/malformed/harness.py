"""Malformed uploads through the real service: API, store, launcher and job processes."""

import base64
import hashlib
import json
import multiprocessing
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from api.main import create_app
from api.settings import Settings
from core.data.dataset import Dataset
from core.jobs.migrate import upgrade
from core.jobs.records import ArtifactType
from core.jobs.store import Store
from tests.api.conftest import serve
from tests.malformed.drive import Ended, drive
from tests.malformed.seeds import Case
from worker.decoding import REASONS

WHOLE = "whole"
"""Kind of the logs without damage, which the others are compared with."""
SAME, TOLD, OTHER = READ = ("read: as the whole one", "read: other, and told", "read: other")
"""Whether the dataset has the bytes of a whole one's, and if not, whether its report warns."""
_CODE = re.compile(r"\[(\w+)\](?:; gave up after \d+ attempts)?$")
_CANARY = Path("/tmp/foglab-canary")
MOST_CPU_SECONDS, MOST_BYTES = 60.0, int(1.5 * (1 << 30))


@dataclass
class Outcome:
    """What became of one upload."""

    kind: str
    n: int
    result: str = ""
    """`refused 4xx`, a reason of a failed job, or one of `READ`: a whole dataset was made of it."""
    cpu_seconds: float = 0.0
    told: str = ""
    wrong: list[str] = field(default_factory=list)
    """Promises that were broken."""
    job: str = ""


@dataclass
class Found:
    """All outcomes, and what was seen meanwhile."""

    outcomes: list[Outcome]
    wrong: list[str]
    """Promises that were broken, not by one upload."""
    peak_bytes: int
    polls: int
    longest_gap_seconds: float
    """Between two looks at the datasets."""

    @property
    def violations(self) -> list[str]:
        return [*self.wrong, *(f"{o.kind} {o.n}: {w}" for o in self.outcomes for w in o.wrong)]

    def table(self) -> dict[str, Any]:
        """Results of each kind."""
        kinds: dict[str, dict[str, Any]] = {}
        for one in self.outcomes:
            row = kinds.setdefault(one.kind, {"files": 0, "most_cpu_seconds": 0.0, "results": {}})
            row["files"] += 1
            row["most_cpu_seconds"] = max(row["most_cpu_seconds"], round(one.cpu_seconds, 2))
            row["results"][one.result] = row["results"].get(one.result, 0) + 1
        return kinds


def run(top: Path, cases: Iterable[tuple[str, int, Case]], workers: int, forked: bool) -> Found:
    """Upload and ingest all cases under `top`; the workers run beside each other."""
    home = top / "home"
    home.mkdir()
    database = f"sqlite:///{top / 'foglab.db'}"
    upgrade(database)
    canaries = {top / "canary.txt", home / "canary.txt"}
    for path in canaries:
        path.write_text("still here")
    app = create_app(Settings(home=home, database_url=database, max_upload_bytes=1 << 30))
    store = Store.open(database)
    with serve(app) as url, _drivers(home, database, workers, forked) as (jobs, ended, alive):
        headers = {"Authorization": f"Bearer {store.create_token('malformed')}"}
        watch = _Watch(store, home)
        watch.start()
        with httpx.Client(base_url=url, headers=headers, timeout=120) as client:
            pending: dict[str, Outcome] = {}
            outcomes: list[Outcome] = []
            peak = 0
            for kind, n, case in cases:
                one = Outcome(kind, n)
                outcomes.append(one)
                if job_id := _submitted(client, case, one):
                    one.job = job_id
                    pending[job_id] = one
                    jobs.put(job_id)
                while not ended.empty() or len(pending) > 4 * workers:
                    peak = max(peak, _note(_next(ended, alive), pending))
            while pending:
                peak = max(peak, _note(_next(ended, alive), pending))
        wrong = watch.stop()
        wrong += [f"a worker exited with {p.exitcode}" for p in alive if not p.is_alive()]
    wrong += _left_behind(top, home, store, canaries)
    for artifact in store.list_artifacts(type=ArtifactType.DATASET, limit=10_000):
        wrong += _incomplete(home / "datasets" / artifact.id / "v1", sums=True)
    _compare(store, home, outcomes)
    store.close()
    return Found(outcomes, wrong, peak, watch.polls, watch.longest)


def _submitted(client: httpx.Client, case: Case, one: Outcome) -> str | None:
    """The job that reads the upload, or None if the API refused it, as the outcome then says."""
    told = {"filename": case.filename} | ({"sha256": case.sha256} if case.sha256 else {})
    metadata = ",".join(
        f"{k} {base64.b64encode(v.encode('utf-8', 'surrogateescape')).decode()}"
        for k, v in told.items()
    )
    size = len(case.data) if case.size is None else case.size
    made = client.post(
        "/api/v1/uploads",
        headers={"Upload-Length": str(size), "Upload-Metadata": metadata, "Tus-Resumable": "1.0.0"},
    )
    if _refused(made, one):
        return None
    place = made.headers["Location"]
    if case.data:
        sent = client.patch(
            place,
            content=case.data,
            headers={
                "Upload-Offset": "0",
                "Content-Type": "application/offset+octet-stream",
                "Tus-Resumable": "1.0.0",
            },
        )
        if _refused(sent, one):
            return None
    asked = {
        "upload_id": place.rsplit("/", 1)[-1],
        "name": "malformed",
        "bad_episodes": "fail",
        "image_size": 16,
    }
    queued = client.post("/api/v1/datasets", json=asked)
    return None if _refused(queued, one) else str(queued.json()["job"]["id"])


def _refused(response: httpx.Response, one: Outcome) -> bool:
    if response.status_code < 400:
        return False
    one.result = f"refused {response.status_code}"
    one.told = response.text[:300]
    if response.status_code >= 500:
        one.wrong.append(f"the API answered {response.status_code}")
    return True


def _next(ended: Any, alive: Iterable[Any]) -> Ended:
    while ended.empty():
        if dead := [p.exitcode for p in alive if not p.is_alive()]:
            raise AssertionError(f"a worker exited with {dead[0]}")
        time.sleep(0.02)
    found: Ended = ended.get()
    return found


def _note(ended: Ended, pending: dict[str, Outcome]) -> int:
    one = pending.pop(ended.job_id)
    one.cpu_seconds, one.told = ended.cpu_seconds, ended.error
    if ended.state == "succeeded":
        one.result = "read"
    else:
        found = _CODE.search(ended.error)
        one.result = found[1] if found else "no code"
        if one.result not in REASONS:
            one.wrong.append(f"{ended.state} with a reason that is on no list: {ended.error!r}")
    if ended.state not in ("succeeded", "failed"):
        one.wrong.append(f"ended {ended.state}")
    if ended.cpu_seconds > MOST_CPU_SECONDS:
        one.wrong.append(f"took {ended.cpu_seconds:.1f} s of processor time")
    if ended.peak_bytes > MOST_BYTES:
        one.wrong.append(f"this or an earlier one took {ended.peak_bytes >> 20} MiB")
    return ended.peak_bytes


@contextmanager
def _drivers(home: Path, database: str, workers: int, forked: bool) -> Iterator[Any]:
    """Worker processes, their queues; ended by None."""
    context = multiprocessing.get_context("spawn")
    jobs, ended = context.SimpleQueue(), context.SimpleQueue()
    mine = {
        "FOGLAB_HOME": str(home),
        "FOGLAB_DATABASE_URL": database,
        "FOGLAB_BEAT_SECONDS": "0.5",
        "OPENBLAS_NUM_THREADS": "1",
    }
    before = dict(os.environ)
    os.environ.update(mine)
    try:
        started = [
            context.Process(target=drive, args=(jobs, ended, forked)) for _ in range(workers)
        ]
        for process in started:
            process.start()
    finally:
        os.environ.clear()
        os.environ.update(before)
    try:
        yield jobs, ended, started
    finally:
        for _ in started:
            jobs.put(None)
        for process in started:
            process.join(30)
            process.kill()


class _Watch(threading.Thread):
    """Looks every 50 ms whether a dataset can be seen that is not whole."""

    def __init__(self, store: Store, home: Path) -> None:
        super().__init__(daemon=True)
        self._store, self._home = store, home
        self._done = threading.Event()
        self._wrong: list[str] = []
        self.polls, self.longest = 0, 0.0
        self._whole: set[Path] = set()
        """Seen whole at first sight; a dataset does not change."""

    def run(self) -> None:
        last = time.monotonic()
        while not self._done.wait(0.05):
            self.polls += 1
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now
            listed = self._store.list_artifacts(type=ArtifactType.DATASET, limit=20)
            seen = {self._home / "datasets" / a.id / "v1" for a in listed}
            seen.update((self._home / "datasets").glob("*/v*"))
            for folder in seen - self._whole:
                self._wrong += _incomplete(folder)
                self._whole.add(folder)

    def stop(self) -> list[str]:
        self._done.set()
        self.join()
        return self._wrong


def _incomplete(folder: Path, sums: bool = False) -> list[str]:
    """What a dataset in sight lacks of what its manifest names."""
    try:
        files = json.loads((folder / "manifest.json").read_bytes())["files"]
        for name, told in files.items():
            if (folder / name).stat().st_size != told["bytes"]:
                return [f"{folder.name}: {name} has another size"]
            if sums and hashlib.sha256((folder / name).read_bytes()).hexdigest() != told["sha256"]:
                return [f"{folder.name}: {name} has another checksum"]
        if sums:
            Dataset.open(folder)
    except (OSError, ValueError, KeyError) as error:
        return [f"half a dataset is to be seen: {error!r}"]
    return []


def _compare(store: Store, home: Path, outcomes: Iterable[Outcome]) -> None:
    """Tell datasets that damage has changed from those that it has not."""
    read = [o for o in outcomes if o.result == "read"]
    folders = {o.job: home / "datasets" / store.get(o.job).output_id / "v1" for o in read}
    whole = [folders[o.job] for o in read if o.kind == WHOLE]
    arrays = {_arrays(folder) for folder in whole}
    usual = {message for folder in whole for message in _warnings(folder)}
    for one in read:
        told = [m for m in _warnings(folders[one.job]) if m not in usual]
        one.result = SAME if _arrays(folders[one.job]) in arrays else TOLD if told else OTHER
        one.told = "; ".join(told[:3])


def _warnings(folder: Path) -> list[str]:
    findings = json.loads((folder / "report.json").read_bytes())["findings"]
    return [f["message"] for f in findings if f["severity"] in ("warning", "error")]


def _arrays(folder: Path) -> frozenset[tuple[str, str]]:
    """Names and checksums of all that is not about the dataset but in it."""
    files = json.loads((folder / "manifest.json").read_bytes())["files"]
    return frozenset((n, f["sha256"]) for n, f in files.items() if not n.endswith(".json"))


def _left_behind(top: Path, home: Path, store: Store, canaries: set[Path]) -> list[str]:
    """Files where none belong."""
    wrong = [f"{p} was changed" for p in canaries if p.read_text() != "still here"]
    wrong += [f"{p} was made" for p in (_CANARY, Path("canary"), home / "canary") if p.exists()]
    made = {a.id for a in store.list_artifacts(type=ArtifactType.DATASET, limit=10_000)}
    for path in home.rglob("*"):
        parts = path.relative_to(home).parts
        match parts:
            case ("uploads" | "runs" | "datasets" | "canary.txt" | "secret",):
                continue
            case ("uploads", _) | ("runs", _):
                continue
            case ("runs", _, name) if name == "cost.json" or name.startswith("checkpoints"):
                continue
            case ("uploads", _, "data" | "upload.json" | "announced.json"):
                continue
            case ("runs", _, "spec.json" | "log.txt" | "metrics.jsonl" | "progress.json"):
                continue
            case ("datasets", name, *_) if name in made:
                continue
        wrong.append(f"{'/'.join(parts)} was left")
    wrong += [
        f"{p} was made beside the home"
        for p in top.iterdir()
        if p not in canaries and p != home and not p.name.startswith("foglab.db")
    ]
    return wrong


def rows(found: Found) -> list[dict[str, Any]]:
    """Every outcome, for a file."""
    return [asdict(o) for o in found.outcomes]
