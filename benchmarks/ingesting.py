"""Logs and uploads that the data benchmarks share."""

import json
from pathlib import Path

import numpy as np

from core.artifacts import Artifacts, StagePaths
from core.data.dataset import Dataset
from core.jobs.spec import IngestSpec
from core.recorder import NullRecorder
from core.stages import run_stage

UPLOAD = "up_" + "0" * 32


def moving_picture(length: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Frames (length, side, side, 3) u8: smooth colours with some noise that drift to the right."""
    y, x = np.mgrid[0:side, 0:side] / side
    waves = [np.sin(6.3 * (f * x + g * y + p)) for f, g, p in rng.uniform(-1.5, 1.5, (3, 3))]
    picture = 128 + 90 * np.stack(waves, -1) + rng.normal(0, 4, (side, side, 3))
    columns = (np.arange(side) - np.arange(length)[:, None]) % side
    return picture.clip(0, 255).astype(np.uint8)[:, columns].transpose(1, 0, 2, 3).copy()


def place_upload(source: Path, home: Path) -> StagePaths:
    """Make a file an upload without a copy; returns the folders of an ingest job."""
    folder = home / "uploads" / UPLOAD
    folder.mkdir(parents=True)
    (folder / "data").hardlink_to(source)
    told = {"filename": source.name, "size": source.stat().st_size, "sha256": "0" * 64}
    (folder / "upload.json").write_text(json.dumps(told))
    out = home / "dataset"
    out.mkdir()
    return StagePaths(Artifacts(home), home / "checkpoints", out)


def ingested(source: Path, home: Path) -> Dataset:
    """The dataset that the service makes of a file."""
    paths = place_upload(source, home)
    run_stage(IngestSpec(upload=UPLOAD, name=source.stem), paths, NullRecorder())
    return Dataset.open(paths.out)
