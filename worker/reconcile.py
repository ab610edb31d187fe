"""Loops that make the database's word good: hints for ready jobs, rescue from silent workers."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from celery import Celery
from kombu.exceptions import ChannelError

from core.jobs.hints import TASKS
from core.jobs.records import ReadyJob
from core.jobs.spec import QUEUES
from core.stop_flag import StopFlag

log = logging.getLogger("foglab.reconcile")


class HintSender:
    """Sends hints, but lets no more of them wait than there are jobs ready for their queue."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def __call__(self, due: list[ReadyJob]) -> int:
        """Number of hints sent. Raises what kombu raises if the broker is away."""
        sent = 0
        if not due:
            return sent
        options = {**self._app.conf.broker_transport_options, "max_retries": 1}
        with self._app.connection_for_write(transport_options=options) as connection:
            for queue in dict.fromkeys(QUEUES[job.kind] for job in due):
                mine = [job for job in due if QUEUES[job.kind] == queue]
                waiting = _depth(connection.default_channel, queue)
                for job in mine[: max(0, len(mine) - waiting)]:
                    self._app.send_task(TASKS[job.kind], args=[job.id], connection=connection)
                    sent += 1
        return sent


def _depth(channel: Any, queue: str) -> int:
    """Messages that wait in a queue."""
    try:
        return int(channel.queue_declare(queue, passive=True).message_count)
    except ChannelError:
        return 0  # nothing was ever sent to it


class Loop(threading.Thread):
    """Calls `action` every `seconds`, and at once after `kick`; survives whatever it raises."""

    def __init__(
        self, name: str, seconds: float, action: Callable[[], object], stopping: StopFlag
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._seconds = seconds
        self._action = action
        self._stopping = stopping
        self._kicked = threading.Event()
        self._failing = False

    def kick(self) -> None:
        self._kicked.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            self._once()
            self._kicked.wait(self._seconds)
            self._kicked.clear()

    def _once(self) -> None:
        try:
            self._action()
        except Exception as error:
            level = logging.DEBUG if self._failing else logging.WARNING  # once per outage
            log.log(level, "%s: %s: %s", self.name, type(error).__name__, error)
            self._failing = True
        else:
            if self._failing:
                log.info("%s: works again", self.name)
            self._failing = False
