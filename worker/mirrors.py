"""Metrics told to other tools as well, by one setting each; a tool that fails stops nothing."""

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from core.jobs.spec import JobSpec
from worker.recorder import FileRecorder

log = logging.getLogger("foglab.mirrors")
TENSORBOARD = "FOGLAB_TENSORBOARD"
"""`1` writes event files under `<home>/tensorboard`."""
LEARN = ("global_model", "local_model", "policy")
FLUSH_SECONDS = 5.0


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
