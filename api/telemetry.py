"""What `/metrics` tells: one look at the database and the disk for each scrape."""

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from api.deps import Services
from api.files import tail
from core.jobs.errors import StoreError
from core.jobs.presence import GONE_SECONDS
from core.jobs.records import JobState, Overview, Worker
from core.jobs.spec import Kind

WAIT_SHARE = "data/wait_share"
_TAIL_LINES = 50


class Telemetry(Collector):
    """Gauges that are read when they are asked for."""

    def __init__(self, services: Services) -> None:
        self._s = services

    def describe(self) -> list[Any]:
        """Nothing beforehand: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Any]:
        up = GaugeMetricFamily("foglab_database_up", "1 if the database answered this scrape.")
        try:
            overview, workers = self._s.store.overview(), self._s.store.list_workers()
        except StoreError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from self._jobs(overview)
        yield from _workers(workers, overview.now)
        yield self._wait_shares(overview)
        yield from self._disk()
        failed = CounterMetricFamily("foglab_failed_logins", "Wrong tokens and signatures.")
        failed.add_metric([], self._s.failed_logins.total)
        yield failed

    def _jobs(self, overview: Overview) -> Iterator[Any]:
        jobs = GaugeMetricFamily("foglab_jobs", "Jobs by kind and state.", labels=("kind", "state"))
        for kind in Kind:
            for state in JobState:
                jobs.add_metric([kind, state], overview.counts.get((kind, state), 0))
        yield jobs
        ready = _gauge("foglab_ready_jobs", "Queued jobs that a worker could start now.", "queue")
        oldest = _gauge(
            "foglab_oldest_ready_job_seconds", "Time since the oldest ready job came.", "queue"
        )
        for queue, waiting in overview.waiting.items():
            ready.add_metric([queue], waiting.jobs)
            oldest.add_metric([queue], waiting.oldest_seconds)
        yield from (ready, oldest)
        running = _gauge(
            "foglab_oldest_running_job_seconds", "Time since its first start; 0 if none runs."
        )
        started = [overview.now - (j.started_at or overview.now) for j in overview.running]
        running.add_metric([], max([0.0, *started]))
        yield running
        ages = self._s.heartbeats.look(overview.running)
        beat = _gauge(
            "foglab_heartbeat_age_seconds", "Silence of the running job that was silent longest."
        )
        beat.add_metric([], max([0.0, *ages.values()]))
        yield beat

    def _wait_shares(self, overview: Overview) -> Any:
        share = _gauge(
            "foglab_data_wait_share", "Share of time a training waits for data.", "job", "kind"
        )
        for job in overview.running:
            last = last_value(self._s.artifacts.run(job.id) / "metrics.jsonl", WAIT_SHARE)
            if last is not None:
                share.add_metric([job.id, job.kind], last)
        return share

    def _disk(self) -> Iterator[Any]:
        free = _gauge("foglab_disk_free_bytes", "Free on the disk that holds everything.")
        free.add_metric([], shutil.disk_usage(self._s.artifacts.root).free)
        stored = _gauge("foglab_stored_bytes", "Bytes stored, by kind.", "kind")
        for kind, size in self._s.sizes.by_kind().items():
            stored.add_metric([kind], size)
        yield from (free, stored)


def make_registry() -> CollectorRegistry:
    """With memory, CPU time and open files of this process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def last_value(metrics: Path, name: str) -> float | None:
    """The newest value of one metric of a run, if its last lines have it."""
    for line in reversed(tail(metrics, _TAIL_LINES).splitlines()):
        try:
            value = json.loads(line)["values"][name]
        except (ValueError, KeyError, TypeError):
            continue
        return None if value is None else float(value)
    return None


def _workers(workers: Iterable[Worker], now: float) -> Iterator[Any]:
    alive = [w for w in workers if now - w.seen_at < GONE_SECONDS]
    count = _gauge("foglab_workers", "Workers seen within a minute.", "queue")
    busy = _gauge("foglab_busy_workers", "Workers that hold a job.", "queue")
    for queue in sorted({q for w in alive for q in w.queues} | {"ingest", "gpu"}):
        mine = [w for w in alive if queue in w.queues]
        count.add_metric([queue], len(mine))
        busy.add_metric([queue], sum(w.busy for w in mine))
    yield from (count, busy)
    labels = ("worker", "gpu", "name")
    used = _gauge("foglab_gpu_memory_used_bytes", "GPU memory in use.", *labels)
    total = _gauge("foglab_gpu_memory_bytes", "GPU memory.", *labels)
    use = _gauge("foglab_gpu_use", "Share of time the GPU works, 0 to 1.", *labels)
    for worker in alive:
        for gpu in worker.gpus:
            named = [worker.id, str(gpu.index), gpu.name]
            used.add_metric(named, gpu.memory_used)
            total.add_metric(named, gpu.memory_total)
            use.add_metric(named, gpu.use)
    yield from (used, total, use)


def _gauge(name: str, help: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help, labels=labels)
