"""Names and places of everything that is stored as files under one root."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_ID = re.compile(r"[a-z]{2,4}_[0-9a-z]{8,32}")


class UnknownArtifact(LookupError):
    """A spec names a dataset, model or rollout that does not exist."""


@dataclass(frozen=True)
class Artifacts:
    """The tree under `FOGLAB_HOME`. Paths are made from ids only, never from client text."""

    root: Path

    def upload(self, upload_id: str) -> Path:
        return self.root / "uploads" / _checked(upload_id)

    def dataset(self, dataset_id: str, version: int = 1) -> Path:
        return self.root / "datasets" / _checked(dataset_id) / f"v{version}"

    def model(self, model_id: str) -> Path:
        return self.root / "models" / _checked(model_id)

    def rollout(self, rollout_id: str) -> Path:
        return self.root / "rollouts" / _checked(rollout_id)

    def evaluation(self, evaluation_id: str) -> Path:
        return self.root / "evaluations" / _checked(evaluation_id)

    def export(self, export_id: str) -> Path:
        return self.root / "exports" / _checked(export_id)

    def detection(self, detection_id: str) -> Path:
        return self.root / "detections" / _checked(detection_id)

    def run(self, job_id: str) -> Path:
        return self.root / "runs" / _checked(job_id)

    def checkpoints(self, job_id: str, epoch: int) -> Path:
        """Where the attempt with this claim, and no other, finds and saves its checkpoints."""
        return self.run(job_id) / f"checkpoints-{epoch}"

    def existing(self, path: Path) -> Path:
        """The same path, or `UnknownArtifact` naming it."""
        if not path.is_dir():
            raise UnknownArtifact(f"nothing is stored as {path.relative_to(self.root)}")
        return path


@dataclass(frozen=True)
class StagePaths:
    """Where one attempt of one job reads and writes."""

    artifacts: Artifacts
    checkpoints: Path
    """Survives attempts: a resumed job finds its checkpoints here."""
    out: Path
    """Private to the attempt; becomes the artifact when the stage returns."""


def _checked(identifier: str) -> str:
    if not _ID.fullmatch(identifier):
        raise UnknownArtifact(f"{identifier!r} is not an id")
    return identifier


def make_folder(path: Path) -> None:
    """Make a folder with its parents, each entry flushed to disk; nothing if it is there."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
