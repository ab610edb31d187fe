"""How many requests the API answers on this machine, and how soon, while others upload.

Starts the real service on a new SQLite database, asks with `wrk` (Debian: apt-get install wrk),
uploads with a client of its own, and writes `<results>/load.json`. Client and server share the
machine: figures are floors. An API without our promises (`benchmarks.plain_api`) is asked the
same in the same run, for a machine may be half as fast as another. `--minutes 120` asks on for so
long and records whether memory, open files and threads grow (the soak of P26).
"""

import argparse
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil

from benchmarks.harness import parser
from benchmarks.machine import this_run
from core.jobs.ids import new_upload_id
from core.jobs.migrate import upgrade
from core.jobs.spec import IngestSpec
from core.jobs.store import Store
from foglab.sockets import listen

PIECE = 1 << 20
_SCRIPT = """
wrk.method = "{method}"
wrk.headers["Authorization"] = "Bearer {token}"
wrk.headers["Content-Type"] = "application/json"
{body}
done = function(summary, latency, requests)
  io.write(string.format(
    '\\n{{"requests": %d, "microseconds": %d, "refused": %d, "broken": %d, "p50": %d, "p99": %d}}\\n',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""
BARS = {
    "get": "at least 1,000 requests/s, p99 at most 150 ms",
    "post": "at least 300 requests/s, p99 at most 250 ms, none refused",
    "uploads": "at least 150 MB/s, API at most 300 MiB, GET p99 at most 300 ms",
    "overload": "refused with 429 or 503 at worst, none broken",
}


@dataclass(frozen=True)
class Api:
    """The service under load."""

    url: str
    token: str
    process: psutil.Process
    job: str
    upload: str


@contextmanager
def serving(
    command: list[str], log: Path, health: str, environ: dict[str, str] | None = None
) -> Iterator[tuple[str, psutil.Process]]:
    """`python -m <command> --fd N` once `health` answers: its address and process."""
    with listen("API", 0, 0) as socket, log.open("wb") as file:
        descriptor = socket.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--fd", str(descriptor)],
            env={**os.environ, **(environ or {})},
            stderr=file,
            pass_fds=(descriptor,),
        )
        try:
            address = f"http://127.0.0.1:{socket.getsockname()[1]}"
            _wait(f"{address}{health}", process)
            yield address, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def running_plain(home: Path) -> Iterator[Api]:
    """`python -m benchmarks.plain_api`: the yardstick."""
    token = "plain"
    command = ["benchmarks.plain_api", "--token", token, "--database", str(home / "plain.db")]
    with serving(command, home / "plain.log", "/openapi.json") as (address, process):
        yield Api(address, token, process, "job", "none")


@contextmanager
def running_api(home: Path) -> Iterator[Api]:
    """`python -m api` on a database with one upload and one job."""
    url = f"sqlite:///{home}/foglab.db"
    upgrade(url)
    store = Store.open(url)
    upload = store.register_upload(new_upload_id(), "logs.zip", 1, "0" * 64).id
    job = store.submit(IngestSpec(upload=upload, name="logs"), "logs").id
    environ = {"FOGLAB_HOME": str(home), "FOGLAB_REQUESTS_PER_SECOND": "1000000"}
    try:
        with serving(["api"], home / "api.log", "/healthz", environ) as (address, process):
            yield Api(address, store.create_token("load"), process, job, upload)
    finally:
        store.close()


def ask(api: Api, work: Path, method: str, path: str, connections: int, seconds: int) -> Any:
    """One run of wrk, and what it cost the API in CPU time per request."""
    spec = {"kind": "ingest", "spec": {"upload": api.upload, "name": "logs"}}
    body = f"wrk.body = '{json.dumps(spec)}'" if method == "POST" else ""
    script = work / f"{method}.lua"
    script.write_text(_SCRIPT.format(method=method, token=api.token, body=body))
    before = api.process.cpu_times()
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    done = subprocess.run(
        [*command, "-s", str(script), f"{api.url}{path}"],
        capture_output=True,
        text=True,
        check=True,
    )
    after = api.process.cpu_times()
    told = json.loads(done.stdout.strip().splitlines()[-1])
    cpu = after.user + after.system - before.user - before.system
    return {
        "connections": connections,
        "requests": told["requests"],
        "per_second": round(told["requests"] / (told["microseconds"] / 1e6), 1),
        "p50_ms": told["p50"] / 1000,
        "p99_ms": told["p99"] / 1000,
        "refused": told["refused"],
        "broken": told["broken"],
        "api_cpu_ms_per_request": round(1000 * cpu / max(1, told["requests"]), 3),
    }


def answers(api: Api, work: Path, seconds: int) -> dict[str, Any]:
    """GETs, POSTs, and GETs of more clients than it has threads."""
    one = f"/api/v1/jobs/{api.job}"
    ask(api, work, "GET", one, 4, 3)  # warm up
    return {
        "get": ask(api, work, "GET", one, 32, seconds),
        "post": ask(api, work, "POST", "/api/v1/jobs", 16, seconds),
        "overload": ask(api, work, "GET", one, 128, seconds),
    }


def upload_at_once(api: Api, clients: int, size: int) -> dict[str, Any]:
    """`clients` uploads of `size` bytes side by side, with a GET every 50 ms beside them."""
    piece = os.urandom(PIECE)
    digest = hashlib.sha256()
    for _ in range(size // PIECE):
        digest.update(piece)
    finished = threading.Event()
    with ThreadPoolExecutor(clients + 2) as pool:
        started = time.perf_counter()
        waits = pool.submit(_probe, api, finished)
        memory = pool.submit(_most_memory, api, finished)
        sent = [pool.submit(_upload, api, piece, size) for _ in range(clients)]
        hashes = [s.result() for s in sent]
        seconds = time.perf_counter() - started
        finished.set()
    return {
        "uploads": clients,
        "bytes_each": size,
        "megabytes_per_second": round(clients * size / seconds / 1e6, 1),
        "right_hashes": sum(h == digest.hexdigest() for h in hashes),
        "api_rss_mib": round(memory.result() / 2**20, 1),
        "get_p99_ms": round(float(np.percentile(waits.result(), 99)), 1),
    }


def _upload(api: Api, piece: bytes, size: int) -> str | None:
    address = urlsplit(api.url)
    headers = {"Authorization": f"Bearer {api.token}"}
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=600)
    try:
        connection.request(
            "POST", "/api/v1/uploads", headers={**headers, "Upload-Length": f"{size}"}
        )
        made = connection.getresponse()
        made.read()
        path = str(made.headers["Location"])
        kind = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
        sized = {**headers, **kind, "Content-Length": f"{size}"}
        connection.request("PATCH", path, body=(piece for _ in range(size // PIECE)), headers=sized)
        connection.getresponse().read()
        connection.request("GET", path, headers=headers)
        reply: dict[str, Any] = json.load(connection.getresponse())
        return str(reply["sha256"])
    finally:
        connection.close()


def _probe(api: Api, finished: threading.Event) -> list[float]:
    """Milliseconds of GETs."""
    waits = []
    headers = {"Authorization": f"Bearer {api.token}"}
    with httpx.Client(base_url=api.url, headers=headers, timeout=60) as client:
        while not finished.wait(0.05):
            began = time.perf_counter()
            client.get(f"/api/v1/jobs/{api.job}").raise_for_status()
            waits.append(1000 * (time.perf_counter() - began))
    return waits


def _most_memory(api: Api, finished: threading.Event) -> int:
    most = 0
    while not finished.wait(0.1):
        most = max(most, api.process.memory_info().rss)
    return most


def soak(api: Api, work: Path, minutes: float, say: Callable[[object], None]) -> dict[str, Any]:
    """GETs, POSTs and uploads in turn; what the API holds after warm-up and at the end."""
    until, samples = time.monotonic() + 60 * minutes, []
    while time.monotonic() < until:
        ask(api, work, "GET", f"/api/v1/jobs/{api.job}", 8, 10)
        ask(api, work, "GET", "/api/v1/jobs?limit=20", 4, 5)
        ask(api, work, "POST", "/api/v1/jobs", 4, 2)
        upload_at_once(api, 2, 16 << 20)
        with api.process.oneshot():
            samples.append(
                {
                    "rss_mib": round(api.process.memory_info().rss / 2**20, 1),
                    "open_files": api.process.num_fds(),
                    "threads": api.process.num_threads(),
                }
            )
        for folder in (work / "home" / "uploads").iterdir():
            shutil.rmtree(folder, ignore_errors=True)
        say(samples[-1])
    warm = samples[max(1, len(samples) // 5)]
    growth = samples[-1]["rss_mib"] / warm["rss_mib"] - 1
    return {"minutes": minutes, "warm": warm, "end": samples[-1], "growth": round(growth, 4)}


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(address).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise RuntimeError("the API did not start")


def main() -> None:
    options: argparse.ArgumentParser = parser(__doc__)
    options.add_argument("--seconds", type=int, default=20, help="of each run of wrk")
    options.add_argument("--megabytes", type=int, default=1024, help="size of each upload")
    options.add_argument("--minutes", type=float, default=0.0, help="of the soak; 0: none")
    given = options.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("This benchmark needs wrk: apt-get install wrk")
    given.home.mkdir(parents=True, exist_ok=True)

    def say(value: object) -> None:
        print(json.dumps(value), flush=True)

    with tempfile.TemporaryDirectory(dir=given.home) as folder:
        work = Path(folder)
        (work / "home").mkdir()
        found: dict[str, Any] = {"bars": BARS, "load_average_before": os.getloadavg()[0]}
        if not given.minutes:
            with running_plain(work) as plain:
                found["plain"] = answers(plain, work, given.seconds)
                say(found["plain"])
        with running_api(work / "home") as api:
            if given.minutes:
                found["soak"] = soak(api, work, given.minutes, say)
            else:
                found |= answers(api, work, given.seconds)
                found["of_plain"] = {
                    name: round(found[name]["per_second"] / found["plain"][name]["per_second"], 2)
                    for name in ("get", "post", "overload")
                }
                say({k: found[k] for k in ("get", "post", "overload", "of_plain")})
                found["uploads"] = upload_at_once(api, 8, given.megabytes << 20)
                say(found["uploads"])
            found["load_average_after"] = os.getloadavg()[0]
            found |= asdict(this_run(given.home))
    name = "soak.json" if given.minutes else "load.json"
    (given.results / name).write_text(json.dumps(found, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
