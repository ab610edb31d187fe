"""One attempt of one job: claim the row, run a process, beat, pass on a stop, record the end."""

import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import TypeVar

from core.artifacts import Artifacts
from core.disk import MARGIN_BYTES, free_bytes, is_full, told, used_bytes
from core.jobs.errors import JobNotFound, Lost, StoreUnavailable
from core.jobs.records import Job, JobState, Json, NewArtifact
from core.jobs.spec import JobSpec, inputs, spec_adapter
from core.jobs.store import Store
from core.logs import about
from core.stop_flag import StopFlag
from worker import decoding, run_job
from worker.process import JobProcess, clear, prepare
from worker.publish import final_place, publish, withdraw
from worker.settings import WorkerSettings
from worker.stall import Stall
from worker.words import crash_reason, decode_crash_reason, stall_reason

T = TypeVar("T")
_MOST_JSON_BYTES = 4 << 20
log = logging.getLogger("foglab.launcher")


class Why(Enum):
    """Why supervision of a process ended."""

    EXITED = auto()
    CANCELLED = auto()
    """A user asked."""
    STOPPING = auto()
    """This worker shuts down."""
    LAPSED = auto()
    """No heartbeat got through for too long."""
    LOST = auto()
    """The claim is someone else's."""
    FILLS_DISK = auto()
    """It reads an upload and writes more than it may."""
    STALLED = auto()
    """It reports nothing and computes nothing."""


class Launcher:
    """Runs jobs one after the other; `stopping` ends the present one politely."""

    def __init__(self, store: Store, settings: WorkerSettings, stopping: StopFlag) -> None:
        self._store = store
        self._settings = settings
        self._stopping = stopping
        self.hurried = StopFlag()
        """Set: the present job is killed, so that this worker can leave now."""
        self._artifacts = Artifacts(settings.home)
        self.owner = f"{socket.gethostname()}:{os.getpid()}"

    def run(self, job_id: str) -> Job | None:
        """The job after one attempt; None if it was not ours to start, or is not any more."""
        if self._stopping.is_set() or not self._has_room(job_id):
            return None
        job = self._store.claim(job_id, self.owner)
        if job is None:
            return None
        with about(job=job.id, claim=job.epoch):
            return self._attempt(job)

    def _attempt(self, job: Job) -> Job | None:
        log.info("%s (%s): attempt %d, claim %d", job.id, job.kind, job.attempt, job.epoch)
        run = self._artifacts.run(job.id)
        try:
            spec = spec_adapter.validate_python(job.spec)
            if not self._insist(lambda: self._prepared(job, spec)):
                return None
            clear(run)
            process = JobProcess(job, run, self._settings)
        except (OSError, ValueError) as error:
            if is_full(error):
                return self._insist(lambda: self._defer(job, MARGIN_BYTES))
            said = f"the job could not start: {error}"
            return self._insist(lambda: self._store.fail(job.id, job.epoch, said))
        quota = decoding.Quota(spec, self._artifacts, run)
        try:
            why = self._supervise(process, job, run, quota)
        finally:
            process.end()
        if why is Why.LOST:
            log.warning("%s: claim %d was lost, the process was stopped", job.id, job.epoch)
            return None
        ended = self._insist(lambda: self._finish(job, process, run, why))
        shutil.rmtree(process.attempt, ignore_errors=True)
        if ended is not None and ended.state is JobState.SUCCEEDED:
            shutil.rmtree(self._artifacts.checkpoints(job.id, job.epoch), ignore_errors=True)
        log.info("%s: %s", job.id, "claim lost" if ended is None else ended.state)
        return ended

    def _has_room(self, job_id: str) -> bool:
        """Whether the job may start; if the disk is too full, its row says so."""
        try:
            needs = self._store.get(job_id).needs_bytes or MARGIN_BYTES
        except JobNotFound:
            return False
        if free_bytes(self._settings.home) >= needs:
            return True
        log.warning("%s waits: %s", job_id, told(needs))
        self._store.postpone(job_id, needs, self._settings.disk_seconds)
        return False

    def _prepared(self, job: Job, spec: JobSpec) -> bool:
        text = spec.model_dump_json(indent=1)
        self._store.while_ours(job.id, job.epoch, lambda: prepare(job, self._artifacts, text))
        return True

    def _defer(self, job: Job, needs: int) -> Job:
        log.warning("%s waits: %s", job.id, told(needs))
        return self._store.defer(job.id, job.epoch, needs, self._settings.disk_seconds)

    def _supervise(self, process: JobProcess, job: Job, run: Path, quota: decoding.Quota) -> Why:
        asked: Why | None = None
        stall = Stall(process.pid, run, self._settings.stall_seconds)
        last_beat = next_beat = time.monotonic()
        while not process.wait(0.2):
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + self._settings.beat_seconds
                try:
                    if self._store.beat(job.id, job.epoch, read_json(run / "progress.json")):
                        asked = Why.CANCELLED
                    last_beat = now
                    process.feed()
                except Lost:
                    return Why.LOST
                except StoreUnavailable as error:
                    log.warning("%s: no heartbeat: %s", job.id, error)
                if quota.exceeded():
                    return Why.FILLS_DISK
                if asked is None and stall.lasts():
                    asked = Why.STALLED
                    process.tell_where_it_is()
            if self._stopping.is_set():
                asked = asked or Why.STOPPING
            if now - last_beat > self._settings.give_up_seconds:
                asked = asked or Why.LAPSED
            if asked is not None:
                process.ask_to_stop()
            if self.hurried.is_set():
                process.hurry()
        return asked or Why.EXITED

    def _finish(self, job: Job, process: JobProcess, run: Path, why: Why) -> Job:
        """Turn the end of the process into the next state of the row. Raises `Lost`."""
        code = process.returncode
        self._store.beat(job.id, job.epoch, read_json(run / "progress.json"))
        if why is Why.CANCELLED:
            return self._store.cancelled(job.id, job.epoch)
        if code == run_job.SUCCEEDED:
            return self._succeed(job, process.attempt)
        if code == run_job.DISK_FULL:
            return self._defer(job, needed_bytes(process.attempt))
        if why is Why.FILLS_DISK:
            said = decoding.TOLD["decode_limit_disk"]
            return self._store.fail(job.id, job.epoch, decoding.labelled(said, "decode_limit_disk"))
        if code == run_job.FAILED:
            error = (read_json(process.attempt / "error.json") or {}).get("error")
            return self._store.fail(job.id, job.epoch, str(error))
        if why in (Why.STOPPING, Why.LAPSED):
            return self._store.release(job.id, job.epoch)
        if why is Why.STALLED:
            said = stall_reason(job.kind, self._settings.stall_seconds)
            return self._store.crashed(job.id, job.epoch, said)
        reason = crash_reason(code, run / "log.txt", self._settings.home)
        if job.kind in decoding.KINDS:
            reason, is_final = decode_crash_reason(code, reason)
            if is_final:
                return self._store.fail(job.id, job.epoch, reason)
        return self._store.crashed(job.id, job.epoch, reason)

    def _succeed(self, job: Job, attempt: Path) -> Job:
        final = final_place(self._artifacts, job.kind, job.output_id)
        out = attempt / "out"
        result = read_json(attempt / "result.json") or {}
        try:
            if out.exists():  # not when the database went away after the move
                publish(out, final, lambda do: self._store.while_ours(job.id, job.epoch, do))
        except OSError as error:
            self._store.beat(job.id, job.epoch)  # raises Lost if that is why
            if is_full(error):
                return self._defer(job, MARGIN_BYTES)
            said = f"the result could not be stored: {error.strerror}"
            return self._store.fail(job.id, job.epoch, said)
        lineage = tuple(inputs(spec_adapter.validate_python(job.spec)).values())
        artifact = NewArtifact(summary=result, lineage=lineage)
        ended = self._store.succeed(job.id, job.epoch, result, artifact)
        if ended.state is JobState.CANCELLED:
            cancelled = (JobState.CANCELLED,)  # and not retried meanwhile by another worker
            self._store.while_in(job.id, cancelled, lambda: withdraw(final, attempt))
        return ended

    def _insist(self, action: Callable[[], T]) -> T | None:
        """Repeat until the database answers; None if the claim is lost, or we must go."""
        while True:
            try:
                return action()
            except Lost as lost:
                log.warning("%s", lost)
                return None
            except StoreUnavailable as error:
                log.warning("the end of a job is not recorded yet: %s", error)
                if self._stopping.wait(1.0):
                    return None  # the reaper of another worker takes it from here


def needed_bytes(attempt: Path) -> int:
    """Room that an attempt which ran out of it needs: what it said, else twice what it wrote."""
    needs = (read_json(attempt / "needs.json") or {}).get("bytes")
    return needs if isinstance(needs, int) else 2 * used_bytes(attempt) + MARGIN_BYTES


def read_json(path: Path) -> Json | None:
    """None if there is no such file, or nothing readable in it."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MOST_JSON_BYTES))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
