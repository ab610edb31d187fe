"""Logs that the data benchmarks share, and the ingest of them.

    python -m benchmarks.ingesting LOGS HOME

ingests in a process of its own and prints its greatest resident size in megabytes.
"""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import h5py
import numcodecs
import numpy as np
import zarr

from core.artifacts import Artifacts, StagePaths
from core.data.dataset import Dataset
from core.data.lerobot_layout import Column, Layout
from core.data.lerobot_writer import LeRobotWriter
from core.jobs.spec import IngestSpec
from core.recorder import NullRecorder
from core.stages import run_stage

UPLOAD = "up_" + "0" * 32
SOURCES = ("hdf5", "zarr", "zarr blosc", "h264", "h264 480p")
FRAMES, SIDE, LARGE = 200, 96, (480, 640)
_CAMERA = "observation.image"
_CHUNK = 8


@dataclass(frozen=True)
class Logs:
    """An upload."""

    path: Path
    megabytes: float
    """Of frames, decoded."""
    image_size: int | None = None
    videos: tuple[Path, ...] = ()


def moving_picture(
    length: int, height: int, rng: np.random.Generator, width: int | None = None
) -> np.ndarray:
    """Frames (length, height, width, 3) u8: smooth colours with some noise that drift sideways."""
    width = width or height
    y, x = np.mgrid[0:height, 0:width] / height
    waves = [np.sin(6.3 * (f * x + g * y + p)) for f, g, p in rng.uniform(-1.5, 1.5, (3, 3))]
    picture = 128 + 90 * np.stack(waves, -1) + rng.normal(0, 4, (height, width, 3))
    twice = np.tile(picture.clip(0, 255).astype(np.uint8), (1, 2, 1))
    return np.stack([twice[:, t % width : t % width + width] for t in range(length)])


def write_logs(folder: Path, source: str, megabytes: float, seed: int) -> Logs:
    """Logs of about so many megabytes of frames, in a new file of a folder."""
    height, width = LARGE if source == "h264 480p" else (SIDE, SIDE)
    episodes = max(2, round(megabytes * 1e6 / (FRAMES * height * width * 3)))
    decoded = episodes * FRAMES * height * width * 3 / 1e6
    rng = np.random.default_rng(seed)
    pictures = (moving_picture(FRAMES, height, rng, width) for _ in range(episodes))
    if source == "hdf5":
        return Logs(_hdf5(folder / "logs.hdf5", pictures, rng), decoded)
    if source.startswith("zarr"):
        return Logs(_zarr(folder, pictures, episodes, rng, source), decoded)
    root = folder / "lerobot"
    layout = Layout(10.0, {_CAMERA: (height, width)}, {"action": Column("float32", 4)}, "h264")
    with LeRobotWriter(root, layout) as writer:
        for frames in pictures:
            writer.append({_CAMERA: frames}, {"action": _actions(rng)}, "drift")
        writer.finish()
    videos = tuple(sorted(root.rglob("*.mp4")))
    size = 64 if source == "h264 480p" else None
    return Logs(_zipped(root, folder / "logs.zip"), decoded, size, videos)


def ingest(logs: Logs, home: Path, *, previews: bool) -> Dataset:
    """The dataset that the service's stage makes of an upload, in `home`."""
    folder = home / "uploads" / UPLOAD
    folder.mkdir(parents=True)
    (folder / "data").hardlink_to(logs.path)
    told = {"filename": logs.path.name, "size": logs.path.stat().st_size, "sha256": "0" * 64}
    (folder / "upload.json").write_text(json.dumps(told))
    out = home / "dataset"
    out.mkdir()
    spec = IngestSpec(upload=UPLOAD, name="logs", image_size=logs.image_size)
    paths = StagePaths(Artifacts(home), home / "checkpoints", out)
    if previews:
        run_stage(spec, paths, NullRecorder())
    else:
        with mock.patch("core.stages.ingest.write_previews"):
            run_stage(spec, paths, NullRecorder())
    return Dataset.open(out)


def peak_megabytes(logs: Logs, home: Path) -> float:
    """Greatest resident size of a new process that ingests an upload."""
    command = [sys.executable, "-m", __spec__.name, str(logs.path), str(home)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _actions(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(FRAMES, 4)).astype(np.float32)


def _hdf5(path: Path, pictures: Iterator[np.ndarray], rng: np.random.Generator) -> Path:
    """Robomimic's layout, arrays in one piece."""
    with h5py.File(path, "w") as file:
        for n, frames in enumerate(pictures):
            file[f"data/demo_{n}/actions"] = _actions(rng)
            file[f"data/demo_{n}/obs/agentview_image"] = frames
    return path


def _zarr(
    folder: Path,
    pictures: Iterator[np.ndarray],
    episodes: int,
    rng: np.random.Generator,
    source: str,
) -> Path:
    """A replay buffer in a zip."""
    codec = numcodecs.Blosc("lz4", 5) if source == "zarr blosc" else None
    root = zarr.open_group(str(folder / "zarr"), mode="w", zarr_format=2)
    data, meta = root.create_group("data"), root.create_group("meta")
    shape, chunks = (episodes * FRAMES, SIDE, SIDE, 3), (_CHUNK, SIDE, SIDE, 3)
    images = data.create_array("img", shape=shape, chunks=chunks, dtype="u1", compressors=codec)
    for n, frames in enumerate(pictures):
        images[n * FRAMES : (n + 1) * FRAMES] = frames
    actions = np.concatenate([_actions(rng) for _ in range(episodes)])
    data.create_array("action", data=actions, chunks=(4096, 4), compressors=None)
    ends = FRAMES * np.arange(1, episodes + 1)
    meta.create_array("episode_ends", data=ends, compressors=None)
    return _zipped(folder / "zarr", folder / "logs.zip")


def _zipped(folder: Path, path: Path) -> Path:
    """A zip whose files are stored as they are; those of the folder are deleted, but videos."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(file, file.relative_to(folder).as_posix())
            if file.suffix != ".mp4":
                file.unlink()
    return path


def main() -> None:
    path, home = (Path(argument) for argument in sys.argv[1:])
    ingest(Logs(path, 0.0), home, previews=True)
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6)


if __name__ == "__main__":
    main()
