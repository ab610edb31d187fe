"""Robot logs as labs write them, small."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import zarr
from pydantic import JsonValue

from core.artifacts import Artifacts, StagePaths
from core.data.episode import Episode
from core.jobs.spec import IngestSpec
from core.recorder import Cancelled, Recorder
from core.stages import run_stage

UPLOAD = "up_" + "0" * 32
Arrays = dict[str, np.ndarray]


def episode(seed: int, length: int = 6, side: int = 8) -> Episode:
    """An episode with every field, different for every seed."""
    rng = np.random.default_rng(seed)
    return Episode(
        frames=rng.integers(0, 256, (length, side, side, 3), dtype=np.uint8),
        actions=rng.normal(size=(length - 1, 2)).astype(np.float32),
        state=rng.normal(size=(length, 3)).astype(np.float32),
        reward=rng.normal(size=length - 1).astype(np.float32),
        terminated=rng.random(length - 1) < 0.2,
        success=rng.random(length) < 0.5,
        source=f"ep_{seed}",
    )


def log(seed: int, length: int = 6, side: int = 16, **changes: Any) -> Arrays:
    """The arrays of one npz episode, T frames to T - 1 actions."""
    made = episode(seed, length, side)
    arrays = {"image": made.frames, "action": made.actions, "state": made.state}
    arrays |= {"reward": made.reward, "done": made.terminated} | changes
    return {k: v for k, v in arrays.items() if v is not None}


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)  # object arrays are part of the tests
    return buffer.getvalue()


def npz_zip(
    path: Path,
    logs: Sequence[Mapping[str, np.ndarray] | bytes],
    method: int = zipfile.ZIP_STORED,
    meta: JsonValue = None,
) -> Path:
    """A zip of npz files `logs/ep_<n>.npz`; bytes are written as they are."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for i, entry in enumerate(logs):
            data = entry if isinstance(entry, bytes) else npz_bytes(entry)
            archive.writestr(f"logs/ep_{i}.npz", data)
        if meta is not None:
            archive.writestr("logs/meta.json", json.dumps(meta))
    return path


def zarr_folder(
    path: Path,
    logs: Sequence[Arrays],
    codec: numcodecs.abc.Codec | None = None,
    rows_per_chunk: int = 4,
    image_key: str = "img",
) -> Path:
    """A diffusion-policy replay buffer, T frames to T actions, by the zarr library itself."""
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    data, meta = root.create_group("data"), root.create_group("meta")
    for key in logs[0]:
        rows = np.concatenate([arrays[key] for arrays in logs])
        data.create_array(
            image_key if key == "image" else key,
            data=rows,
            chunks=(rows_per_chunk, *rows.shape[1:]),
            compressors=codec,
        )
    meta.create_array(
        "episode_ends", data=np.cumsum([len(arrays["image"]) for arrays in logs]), compressors=codec
    )
    return path


def per_frame(seed: int, length: int = 6, side: int = 16) -> Arrays:
    """What a replay buffer holds of one episode: as many actions as frames."""
    made = episode(seed, length, side)
    assert made.state is not None
    last = np.full((1, 2), 9, np.float32)
    return {
        "image": made.frames,
        "action": np.concatenate([made.actions, last]),
        "state": made.state,
    }


def zipped(folder: Path, path: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


class ListRecorder:
    """Remembers progress; asks to stop when told so."""

    def __init__(self, cancel_after: int | None = None) -> None:
        self.done: list[tuple[int, int, str]] = []
        self._cancel_after = cancel_after

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        raise AssertionError("ingest has no metrics")

    def progress(self, done: int, total: int, message: str = "") -> None:
        self.done.append((done, total, message))

    def raise_if_cancelled(self) -> None:
        if self._cancel_after is not None and len(self.done) >= self._cancel_after:
            raise Cancelled

    def rewind(self, step: int) -> None:
        raise AssertionError("ingest has no metrics")


def ingest(
    root: Path,
    make: Callable[[Path], object],
    filename: str = "logs.zip",
    recorder: Recorder | None = None,
    **spec: Any,
) -> tuple[Path, dict[str, Any]]:
    """Upload what `make` writes to a path, run the stage, return its output folder and result."""
    folder = root / "uploads" / UPLOAD
    folder.mkdir(parents=True, exist_ok=True)
    make(folder / "data")
    data = (folder / "data").read_bytes()
    upload = {
        "filename": filename,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    (folder / "upload.json").write_text(json.dumps(upload))
    out = root / f"out-{len(list(root.glob('out-*')))}"
    out.mkdir()
    paths = StagePaths(Artifacts(root), root / "checkpoints", out)
    asked = IngestSpec(upload=UPLOAD, name="logs", **spec)
    result = run_stage(asked, paths, recorder or ListRecorder())
    return out, result["dataset"]  # type: ignore[return-value]


def findings(out: Path, *severities: str) -> list[dict[str, Any]]:
    """Errors and warnings, or those of the severities named."""
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    wanted = severities or ("error", "warning")
    return [f for f in report["findings"] if f["severity"] in wanted]
