"""One thread that does all work on the device, fed by a queue; steps are batched as they come."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.jobs.simulation import Act, Reset, Step
from worker.simulator.settings import SimulatorSettings

if TYPE_CHECKING:
    from core.simulation.engine import Answer, Engine

log = logging.getLogger("foglab.simulator")

MOST_IN_BATCH = 64
_RECENT_SECONDS = 0.25
_SWEEP_SECONDS = 5.0
_WORTH_WAITING = 0.3
"""Of the last batch's time: steps that come within it are done sooner together."""


@dataclass(eq=False)
class Work:
    """One request on its way to the device."""

    owner: str
    asked: Any
    """`Reset`, `Step`, or `Act`; or a call of the engine."""
    body: bytes = b""
    done: "Future[Answer]" = field(default_factory=Future)

    @property
    def batched(self) -> bool:
        return isinstance(self.asked, Step | Act)


class Device(threading.Thread):
    """Loads torch at the first request, so that an idle simulator costs little."""

    def __init__(
        self, settings: SimulatorSettings, make_engine: Callable[[], "Engine"] | None = None
    ) -> None:
        super().__init__(name="device", daemon=True)
        self._settings = settings
        self._make = make_engine or (lambda: _engine(settings))
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._engine: Engine | None = None
        self._recent: dict[str, float] = {}
        self._put_back: Work | None = None
        self._last_seconds = 0.0
        self._casts = ExitStack()

    def ask(self, owner: str, asked: Any, body: bytes = b"") -> "Future[Answer]":
        """Queue a request; the answer comes on the device's thread."""
        work = Work(owner, asked, body)
        self._queue.put(work)
        return work.done

    def stop(self) -> None:
        """End after what was asked before."""
        self._queue.put(None)

    def run(self) -> None:
        """Work until `stop`."""
        with self._casts:
            self._work()

    def _work(self) -> None:
        while True:
            try:
                work = self._next(_SWEEP_SECONDS)
            except queue.Empty:
                if self._engine is not None:
                    self._engine.sessions.sweep()
                continue
            if work is None:
                return
            batch = self._gather(work) if work.batched else [work]
            try:
                self._do(batch)
            except Exception as error:
                log.exception("the simulator made a mistake")
                for one in batch:
                    if not one.done.done():
                        one.done.set_exception(error)

    def _next(self, seconds: float) -> Work | None:
        if self._put_back is not None:
            work, self._put_back = self._put_back, None
            return work
        return self._queue.get(timeout=seconds)

    def _gather(self, first: Work) -> list[Work]:
        """What else waits, and for a moment the steps of sessions that stepped just before."""
        kind, batch = type(first.asked), [first]
        now = time.monotonic()
        self._recent = {k: t for k, t in self._recent.items() if now - t < _RECENT_SECONDS}
        missing = set(self._recent) - {first.asked.session_id}
        window = max(self._settings.simulator_gather_ms / 1000, _WORTH_WAITING * self._last_seconds)
        until = now + window
        while len(batch) < MOST_IN_BATCH:
            wait = until - time.monotonic() if missing else 0.0
            try:
                work = self._queue.get(timeout=wait) if wait > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if work is None:
                self._queue.put(None)
                break
            if not isinstance(work.asked, kind):
                self._put_back = work
                break
            batch.append(work)
            missing.discard(work.asked.session_id)
        now = time.monotonic()
        self._recent.update((w.asked.session_id, now) for w in batch if w.asked.session_id)
        return batch

    def _do(self, batch: list[Work]) -> None:
        from core.simulation.errors import Refused  # the first import of torch

        if self._engine is None:
            self._engine = self._make()
            # Weights do not change here, so this thread casts each one once.
            from core.devices import casts_kept

            self._casts.enter_context(casts_kept(self._engine.shelf.device, True))
        engine, first = self._engine, batch[0]
        self._set_threads(len(batch))
        answers: list[Answer]
        started = time.monotonic()
        try:
            if isinstance(first.asked, Step):
                answers = engine.step_all([(w.owner, w.asked) for w in batch])
            elif isinstance(first.asked, Act):
                answers = engine.act_all([(w.owner, w.asked, w.body) for w in batch])
            elif isinstance(first.asked, Reset):
                answers = [engine.reset(first.owner, first.asked)]
            else:
                answers = [first.asked(engine, first.owner)]
        except Refused as refusal:
            answers = [refusal] * len(batch)
        if first.batched:
            self._last_seconds = time.monotonic() - started
        for work, answer in zip(batch, answers, strict=True):
            work.done.set_result(answer)

    def _set_threads(self, batch: int) -> None:
        """Small batches are done sooner by one thread than by several that wait for each other."""
        import torch

        wanted = self._settings.simulator_threads if batch >= 4 else 1
        if torch.get_num_threads() != wanted:
            torch.set_num_threads(wanted)


def _engine(settings: SimulatorSettings) -> "Engine":
    import torch

    from core.artifacts import Artifacts
    from core.simulation.engine import Engine

    chosen = settings.simulator_device
    if chosen == "auto":
        chosen = "cuda" if torch.cuda.is_available() else "cpu"
    return Engine(Artifacts(settings.home.absolute()), torch.device(chosen), settings.limits)
