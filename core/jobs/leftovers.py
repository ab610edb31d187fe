"""What no row needs any more: found by asking the database, removed under a lock on the job's row.

A folder leaves in two steps, by a rename into `trash/` and then for good. A kill in between leaves
it in `trash/`, and the next sweep finishes.
"""

import logging
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.artifacts import Artifacts
from core.disk import used_bytes
from core.jobs.records import EndedJob, JobState
from core.jobs.store import Store

FAMILIES = ("datasets", "models", "rollouts", "evaluations", "exports", "detections")
"""Folders of artifacts, each with one folder per id."""
_WORK = ("checkpoints*", "attempt-*", ".left-*")
_BAD = (JobState.FAILED, JobState.CANCELLED)
log = logging.getLogger("foglab.leftovers")


@dataclass(frozen=True)
class Leftover:
    """A folder that nothing needs."""

    path: Path
    why: str
    job_id: str | None = None
    """The job whose row says so; None if no row of this database knows the folder."""
    states: tuple[JobState, ...] = ()
    """It may go as long as that job is in one of these."""

    @property
    def size(self) -> int:
        """Bytes."""
        return used_bytes(self.path)


class Leftovers:
    """Finds and removes them; safe beside a running service and another sweep."""

    def __init__(self, store: Store, artifacts: Artifacts, checkpoint_days: float = 14.0) -> None:
        self._store = store
        self._root = artifacts.root
        self._artifacts = artifacts
        self._keep_seconds = checkpoint_days * 86_400

    def find(self) -> list[Leftover]:
        """Of jobs of this database only. Changes nothing."""
        found = [Leftover(p, "was being removed") for p in self._children("trash")]
        ended = self._store.ended_jobs()
        for job in ended:
            found += self._of_run(job)
            if job.state is not JobState.SUCCEEDED:
                found += self._of_output(job, f"made by a job that {job.state}", _BAD)
        # Read after the jobs: the artifact of one that succeeded is listed, or was deleted since.
        listed = set(self._store.artifact_ids())
        for job in ended:
            if job.state is JobState.SUCCEEDED and job.output_id not in listed:
                found += self._of_output(job, "deleted", (JobState.SUCCEEDED,))
        for upload_id in self._store.removed_uploads():  # of a removal that was killed
            if (folder := self._artifacts.upload(upload_id)).exists():
                found.append(Leftover(folder, "removed"))
        return found

    def find_unknown(self) -> list[Leftover]:
        """Folders that no job of this database made: perhaps another database's, so ask first."""
        places = [p for family in (*FAMILIES, "runs") for p in self._children(family)]
        known = self._store.folder_ids()  # read last: a job is known before its folder exists
        return [Leftover(p, "unknown to the database") for p in places if p.name not in known]

    def remove(self, leftover: Leftover) -> bool:
        """Remove one; False if it is needed after all, or gone."""
        trash = self._root / "trash"
        if leftover.path.parent == trash:
            shutil.rmtree(leftover.path, ignore_errors=True)
            return not leftover.path.exists()
        trash.mkdir(mode=0o700, exist_ok=True)
        aside = trash / f"{leftover.path.name}-{secrets.token_hex(8)}"

        def move() -> bool:
            try:
                leftover.path.rename(aside)
            except FileNotFoundError:
                return False
            return True

        if leftover.job_id is None:
            moved = move()
        else:
            moved = self._store.while_in(leftover.job_id, leftover.states, move) or False
        if moved:
            shutil.rmtree(aside, ignore_errors=True)
        return moved

    def sweep(self) -> int:
        """Remove all that `find` finds; how many."""
        removed = 0
        for leftover in self.find():
            if self.remove(leftover):
                log.info("removed %s: %s", leftover.path.relative_to(self._root), leftover.why)
                removed += 1
        return removed

    def _of_run(self, job: EndedJob) -> Iterator[Leftover]:
        age = self._store.clock() - (job.finished_at or self._store.clock())
        if job.state is not JobState.SUCCEEDED and age < self._keep_seconds:
            return  # a retry goes on from its checkpoints
        why = f"work of a job that {job.state}"
        states: tuple[JobState, ...] = (JobState.SUCCEEDED,)
        if job.state is not JobState.SUCCEEDED:
            why, states = f"{why} {age / 86_400:.0f} days ago", _BAD
        for pattern in _WORK:
            for path in self._artifacts.run(job.id).glob(pattern):
                yield Leftover(path, why, job.id, states)

    def _of_output(
        self, job: EndedJob, why: str, states: tuple[JobState, ...]
    ) -> Iterator[Leftover]:
        for family in (*FAMILIES, "cache/previews"):
            path = self._root / family / job.output_id
            if path.exists():
                yield Leftover(path, why, job.id, states)

    def _children(self, name: str) -> list[Path]:
        folder = self._root / name
        return sorted(folder.iterdir()) if folder.is_dir() else []
