"""One task per job kind, and the hooks that tie the worker's life to the service behind it."""

import logging
from typing import Any

from celery.signals import (
    celeryd_after_setup,
    setup_logging,
    worker_shutdown,
    worker_shutting_down,
)

from core.jobs.hints import TASKS
from core.jobs.spec import Kind
from core.logs import logs
from worker.app import app
from worker.reconcile import HintSender
from worker.service import WorkerService
from worker.settings import WorkerSettings

_services: list[WorkerService] = []


def launch(job_id: str) -> None:
    """Run the job, if it is still to be run."""
    for service in _services:
        service.run(job_id)


@app.task(name=TASKS[Kind.DETECT])
def detect(job_id: str) -> None:
    launch(job_id)


@app.task(name=TASKS[Kind.DERIVE])
def derive(job_id: str) -> None:
    launch(job_id)


@app.task(name=TASKS[Kind.INGEST])
def ingest(job_id: str) -> None:
    launch(job_id)


@app.task(name=TASKS[Kind.GLOBAL_MODEL])
def global_model(job_id: str) -> None:
    launch(job_id)


@app.task(name=TASKS[Kind.LOCAL_MODEL])
def local_model(job_id: str) -> None:
    launch(job_id)


@app.task(name=TASKS[Kind.POLICY])
def policy(job_id: str) -> None:
    launch(job_id)


@app.task(name=TASKS[Kind.EVALUATE])
def evaluate(job_id: str) -> None:
    launch(job_id)


@app.task(name=TASKS[Kind.ROLLOUT])
def rollout(job_id: str) -> None:
    launch(job_id)


@app.task(name=TASKS[Kind.EXPORT])
def export(job_id: str) -> None:
    launch(job_id)


@app.task(name=TASKS[Kind.POLICY_EXPORT])
def policy_export(job_id: str) -> None:
    launch(job_id)


@setup_logging.connect
def _log(loglevel: int = logging.INFO, **_: Any) -> None:
    """In place of Celery's own set-up, whose lines a name with a line break could forge."""
    logs("json", level=loglevel)


@celeryd_after_setup.connect
def _start(instance: Any, **_: Any) -> None:
    """Before the broker is reached: the service works without it."""
    queues = tuple(instance.app.amqp.queues.consume_from)
    service = WorkerService(WorkerSettings(), queues, HintSender(app))
    _services.append(service)
    service.start()


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    """Called for each signal: the first stops politely, the second at once."""
    for service in _services:
        if service.stopping.is_set():
            service.hurry()
        service.stopping.set()


@worker_shutdown.connect
def _stopped(**_: Any) -> None:
    for service in _services:  # listed still: a second signal must find them
        service.stop()
    _services.clear()
