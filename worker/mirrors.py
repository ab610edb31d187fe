"""Metrics told to other tools as well, by one setting each; a tool that fails stops nothing."""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from core.jobs.spec import JobSpec
from worker.recorder import FileRecorder

log = logging.getLogger("foglab.mirrors")
TENSORBOARD, MLFLOW = "FOGLAB_TENSORBOARD", "FOGLAB_MLFLOW_URL"
"""`1` writes event files under `<home>/tensorboard`; the address of an MLflow server."""
LEARN = ("global_model", "local_model", "policy")
FLUSH_SECONDS = 5.0
MOST_METRICS = 900
"""Of one request; MLflow takes 1000."""
TIMEOUT_SECONDS = 10.0


class Sink(Protocol):
    """Another tool; what it raises, if it cannot go on, is OSError or ValueError."""

    def scalars(self, step: int, values: Mapping[str, float], at: float) -> None: ...
    def rewind(self, step: int) -> None: ...
    def close(self, well: bool) -> None: ...


class TensorBoard:
    """An event file in a folder of the job's own; needs the extra `tensorboard`, not torch."""

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise ValueError(f"{TENSORBOARD} needs pip install 'foglab[tensorboard]'") from error
        folder.mkdir(parents=True, exist_ok=True)
        self._event, self._summary = event_pb2, summary_pb2
        self._writer = EventFileWriter(str(folder), flush_secs=int(FLUSH_SECONDS))

    def scalars(self, step: int, values: Mapping[str, float], at: float) -> None:
        told = [self._summary.Summary.Value(tag=n, simple_value=v) for n, v in values.items()]
        summary = self._summary.Summary(value=told)
        self._writer.add_event(self._event.Event(wall_time=at, step=step, summary=summary))

    def rewind(self, step: int) -> None:
        """Readers drop what an earlier attempt wrote of later steps."""
        started = self._event.SessionLog(status=self._event.SessionLog.START)
        event = self._event.Event(wall_time=time.time(), step=step + 1, session_log=started)
        self._writer.add_event(event)

    def close(self, well: bool) -> None:
        self._writer.close()


class MLflow:
    """A run of the experiment `foglab` over MLflow's REST API; resumed by the job's tag."""

    def __init__(self, url: str, job_id: str, spec: JobSpec) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"{MLFLOW} is no http:// or https:// address")
        self._url = f"{url.rstrip('/')}/api/2.0/mlflow"
        self._waiting: list[dict[str, Any]] = []
        self._sent_at = -math.inf
        experiment = self._experiment()
        self._run = self._earlier(experiment, job_id) or self._new(experiment, job_id, spec)

    def scalars(self, step: int, values: Mapping[str, float], at: float) -> None:
        stamp = int(1000 * at)
        self._waiting += [
            {"key": n, "value": v, "timestamp": stamp, "step": step} for n, v in values.items()
        ]
        if time.monotonic() - self._sent_at > FLUSH_SECONDS:
            self._send()

    def rewind(self, step: int) -> None:
        """MLflow cannot forget; a step that comes again has two values there."""
        self._waiting = [m for m in self._waiting if m["step"] <= step]

    def close(self, well: bool) -> None:
        self._send()
        status = "FINISHED" if well else "FAILED"
        ended = {"run_id": self._run, "status": status, "end_time": int(1000 * time.time())}
        self._post("runs/update", ended)

    def _send(self) -> None:
        while self._waiting:
            part = self._waiting[:MOST_METRICS]
            self._post("runs/log-batch", {"run_id": self._run, "metrics": part})
            del self._waiting[:MOST_METRICS]
        self._sent_at = time.monotonic()

    def _experiment(self) -> str:
        found = self._post("experiments/search", {"filter": "name = 'foglab'", "max_results": 1})
        if found.get("experiments"):
            return str(found["experiments"][0]["experiment_id"])
        return str(self._post("experiments/create", {"name": "foglab"})["experiment_id"])

    def _earlier(self, experiment: str, job_id: str) -> str | None:
        query = {"experiment_ids": [experiment], "filter": f"tags.`foglab.job` = '{job_id}'"}
        found = self._post("runs/search", query | {"max_results": 1}).get("runs")
        if not found:
            return None
        run = str(found[0]["info"]["run_id"])
        self._post("runs/update", {"run_id": run, "status": "RUNNING"})
        return run

    def _new(self, experiment: str, job_id: str, spec: JobSpec) -> str:
        tags = [{"key": "foglab.job", "value": job_id}, {"key": "foglab.kind", "value": spec.kind}]
        asked = {
            "experiment_id": experiment,
            "run_name": f"{spec.kind} {job_id}",
            "start_time": int(1000 * time.time()),
            "tags": tags,
        }
        run = str(self._post("runs/create", asked)["run"]["info"]["run_id"])
        fields = spec.model_dump(mode="json").items()
        params = [{"key": f, "value": str(v)[:500]} for f, v in fields if v not in (None, "")]
        self._post("runs/log-batch", {"run_id": run, "params": params[:100]})
        return run

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        request = Request(f"{self._url}/{path}", json.dumps(body).encode(), headers)
        with urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            answer: dict[str, Any] = json.loads(response.read() or b"{}")
        return answer


class Mirrored:
    """The recorder of a run, whose metrics other tools hear too."""

    def __init__(self, recorder: FileRecorder, sinks: Iterable[Sink]) -> None:
        self._recorder, self._sinks = recorder, list(sinks)
        self.progress = recorder.progress
        self.raise_if_cancelled = recorder.raise_if_cancelled

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._recorder.scalars(step, values)
        finite = {n: float(v) for n, v in values.items() if math.isfinite(v)}
        at = time.time()
        self._tell(lambda sink: sink.scalars(step, finite, at))

    def rewind(self, step: int) -> None:
        self._recorder.rewind(step)
        self._tell(lambda sink: sink.rewind(step))

    def close(self, well: bool = False) -> None:
        """`well`: the job did what it was to do."""
        self._recorder.close()
        self._tell(lambda sink: sink.close(well))
        self._sinks.clear()

    def _tell(self, say: Callable[[Sink], None]) -> None:
        for sink in list(self._sinks):
            try:
                say(sink)
            except (OSError, ValueError) as error:
                log.warning("%s is told nothing more: %s", type(sink).__name__, error)
                self._sinks.remove(sink)


def sinks(spec: JobSpec, job_id: str, home: Path) -> Iterator[Sink]:
    """Those that the environment names; one that cannot be opened is left out, with a warning.

    Only jobs that learn have metrics; those that read uploads may not reach files or network.
    """
    if spec.kind not in LEARN:
        return
    try:
        if os.environ.get(TENSORBOARD, "").lower() in ("1", "true", "yes"):
            yield TensorBoard(home / "tensorboard" / job_id)
    except (OSError, ValueError) as error:
        log.warning("TensorBoard is left out: %s", error)
    try:
        if url := os.environ.get(MLFLOW):
            yield MLflow(url, job_id, spec)
    except (URLError, OSError, ValueError, KeyError) as error:
        log.warning("MLflow is left out: %s", error)
