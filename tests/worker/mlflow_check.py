"""`make mlflow-check`: metrics in a real MLflow server, which the default tests do without."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from tests.training.makers import policy_spec
from worker.mirrors import MLFLOW, sinks


def post(url: str, path: str, body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    request = Request(f"{url}/api/2.0/mlflow/{path}", json.dumps(body).encode(), headers)
    with urlopen(request, timeout=60) as response:
        return json.loads(response.read())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = f"sqlite:///{tmp_path}/mlflow.db"
    command = [os.environ["MLFLOW"], "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", store]
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
    try:
        for _ in range(300):
            try:
                post(url, "experiments/search", {"max_results": 1})
                break
            except URLError:
                assert running.poll() is None, (tmp_path / "log").read_text()
                time.sleep(1)
        yield url
    finally:
        running.terminate()
        running.wait()


def test_a_run_is_made_resumed_and_ended(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MLFLOW, server)
    monkeypatch.delenv("FOGLAB_TENSORBOARD", raising=False)
    for steps, well in (((1, 2), False), ((3,), True)):
        (sink,) = sinks(policy_spec(), "job_1", tmp_path)
        for step in steps:
            sink.scalars(step, {"policy/return": step / 10}, 1000.0 + step)
        sink.close(well)
    found = post(server, "experiments/search", {"filter": "name = 'foglab'", "max_results": 9})
    ids = [e["experiment_id"] for e in found["experiments"]]
    (run,) = post(server, "runs/search", {"experiment_ids": ids})["runs"]
    assert run["info"]["status"] == "FINISHED"
    (last,) = run["data"]["metrics"]
    assert (last["key"], last["step"], last["value"]) == ("policy/return", 3, 0.3)
    assert {"key": "method", "value": "fog"} in run["data"]["params"]
