"""From an attempt's private folder to an artifact that is whole or absent."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from core.artifacts import Artifacts, make_folder, sync
from core.jobs.records import ARTIFACT_TYPES, ArtifactType
from core.jobs.spec import JobSpec, Kind, inputs

MANIFEST = "manifest.json"
_CHUNK = 1 << 20


def final_place(artifacts: Artifacts, kind: Kind, artifact_id: str) -> Path:
    """Where the artifact of a job of this kind lives."""
    match ARTIFACT_TYPES[kind]:
        case ArtifactType.DATASET:
            return artifacts.dataset(artifact_id)
        case ArtifactType.MODEL:
            return artifacts.model(artifact_id)
        case ArtifactType.ROLLOUT:
            return artifacts.rollout(artifact_id)
        case ArtifactType.EVALUATION:
            return artifacts.evaluation(artifact_id)
        case ArtifactType.DETECTION:
            return artifacts.detection(artifact_id)
        case ArtifactType.EXPORT:
            return artifacts.export(artifact_id)


def seal(spec: JobSpec, job_id: str, artifact_id: str, run: Path, out: Path) -> None:
    """Complete `out` with its origin and checksums, and flush all of it to disk."""
    if ARTIFACT_TYPES[Kind(spec.kind)] is ArtifactType.MODEL:
        for name in ("metrics.jsonl", "spec.json"):
            shutil.copyfile(run / name, out / name)
    _write(out / "lineage.json", {"id": artifact_id, "job": job_id, "inputs": inputs(spec)})
    files = sorted(p for p in out.rglob("*") if p.is_file())
    entries = {p.relative_to(out).as_posix(): _digest_and_sync(p) for p in files}
    _write(out / MANIFEST, {"files": entries})
    for path in (*(p for p in out.rglob("*") if p.is_dir()), out):
        sync(path)


def publish(out: Path, final: Path, alone: Callable[[Callable[[], None]], None]) -> None:
    """Move a sealed `out` to `final`; if the same artifact is there already, nothing is to do.

    `alone(action)` runs `action` only while the claim on the job is valid. It is needed when an
    earlier attempt died between its move and its row, and left another artifact at `final`.
    """
    make_folder(final.parent)
    if final.exists():
        if _same(out, final):
            shutil.rmtree(out)
            return
        alone(lambda: _discard(final, out.parent / "replaced"))
    out.rename(final)  # fails if someone else's artifact has appeared meanwhile
    sync(final.parent)


def withdraw(final: Path, attempt: Path) -> None:
    """Take back what was moved to `final` for a job that turned out to be cancelled."""
    _discard(final, attempt / "withdrawn")


def _discard(final: Path, aside: Path) -> None:
    final.rename(aside)  # out of sight in one step, then gone
    shutil.rmtree(aside)


def _same(out: Path, final: Path) -> bool:
    try:
        return (out / MANIFEST).read_bytes() == (final / MANIFEST).read_bytes()
    except FileNotFoundError:
        return False


def _digest_and_sync(path: Path) -> dict[str, object]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        os.fsync(file.fileno())
        return {"sha256": digest.hexdigest(), "bytes": file.tell()}


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sync(path)
