"""The Celery app. A message is a hint that carries a job id; the row in the database is the job."""

from celery import Celery

from core.jobs.environment import Environment
from core.jobs.hints import TASKS
from core.jobs.spec import QUEUES

SETTINGS = {
    # Acknowledged when taken: a job longer than the visibility timeout would otherwise be
    # delivered again. The database, not the broker, knows what is unfinished.
    "task_acks_late": False,
    # Redis only: a waiting message stays in the broker, where an idle worker can take it.
    "worker_disable_prefetch": True,
    "worker_prefetch_multiplier": 1,
    # One job at a time per worker process; a GPU is not shared.
    "worker_concurrency": 1,
    # Supervising is waiting, so a thread will do. The job itself is a process by exec: a
    # prefork pool would forbid it children of its own and keep a second copy of this one.
    "worker_pool": "threads",
    # No result backend: results are rows, and a backend has time-outs of its own.
    "task_ignore_result": True,
    "result_backend": None,
    # No pickle: a message must not be able to run code.
    "task_serializer": "json",
    "accept_content": ["json"],
    # A worker waits for its broker for ever; it works from the database meanwhile.
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_connection_timeout": 5,
    # A half-open connection is noticed within seconds, in both directions.
    "broker_transport_options": {
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
    },
    # A hint that nobody took is sent again by the reconciler, not by the publisher.
    "task_publish_retry": False,
    # Time for the running job to save a checkpoint on SIGTERM.
    "worker_soft_shutdown_timeout": 30,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_send_task_events": False,
    "worker_enable_remote_control": False,
    "task_routes": {TASKS[kind]: {"queue": queue} for kind, queue in QUEUES.items()},
    "task_default_queue": "ingest",
    "task_create_missing_queues": True,
    "include": ["worker.tasks"],
}


def make_app(environment: Environment) -> Celery:
    """An app for the broker of `environment`; connects to nothing."""
    app = Celery("foglab", broker=environment.broker_url)
    app.conf.update(SETTINGS)
    return app


app = make_app(Environment.read())
