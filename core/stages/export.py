"""Stage: a dataset or imagined rollouts as a LeRobot v3.0 dataset."""

import json
from pathlib import Path

from pydantic import JsonValue

from core.artifacts import StagePaths
from core.data.dataset import Dataset
from core.data.export_lerobot import export_dataset, export_imagined
from core.data.imagined import ImaginedEpisode
from core.jobs.spec import PREFIXES, ExportSpec, Kind
from core.recorder import Recorder

FOLDER = "lerobot"
"""Of the exported dataset, in the artifact's folder."""


def run(spec: ExportSpec, paths: StagePaths, recorder: Recorder) -> dict[str, JsonValue]:
    """Write `lerobot/`; `ValueError` if the source cannot be exported."""

    def told(done: int, total: int) -> None:
        recorder.raise_if_cancelled()
        recorder.progress(done, total, f"episode {done} of {total}")

    root = paths.out / FOLDER
    artifacts = paths.artifacts
    if spec.source.startswith(PREFIXES[Kind.ROLLOUT] + "_"):
        folder = artifacts.existing(artifacts.rollout(spec.source))
        episodes, tasks, fps = _imagined(folder)
        export_imagined(episodes, tasks, fps, root, spec.pictures, told)
    else:
        dataset = Dataset.open(artifacts.existing(artifacts.dataset(spec.source)))
        export_dataset(dataset, root, spec.pictures, told)
    files = [p for p in root.rglob("*") if p.is_file()]
    info = json.loads((root / "meta/info.json").read_bytes())
    return {
        "episodes": info["total_episodes"],
        "frames": info["total_frames"],
        "files": len(files),
        "bytes": sum(p.stat().st_size for p in files),
    }


def _imagined(folder: Path) -> tuple[list[ImaginedEpisode], list[str], float]:
    """Episodes, what each shows, and frames per second."""
    described = json.loads((folder / "rollout.json").read_bytes())
    items = described["items"]
    missing = [i["n"] for i in items if not (folder / f"{i['n']}.npz").is_file()]
    if missing or not items:
        raise ValueError(
            f"rollouts {folder.name} were imagined before frames and actions were kept: "
            "imagine them again, then export"
        )
    tasks = [
        "imagined: the logged actions" if i["kind"] == "replay" else "imagined: the policy acts"
        for i in items
    ]
    return [ImaginedEpisode.load(folder / f"{i['n']}.npz") for i in items], tasks, described["fps"]
