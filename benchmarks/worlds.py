"""The worlds that other benchmarks compare policies in: play of a task, and both models of it.

    python -m benchmarks.worlds --home .foglab [--task push_t] [--preset single_gpu] \\
        [--episodes 800] [--image-size 64] [--options '{"global_model": {"steps": 8000}}'] \\
        [--only dataset global_model local_model]

Prints the ids, which follow from what was asked for, as options of those benchmarks. Play is made
on all processors, episode for episode as `foglab demo` and `make_logs` make it, and seen by the
camera that policies are judged with. What exists is kept, and an interrupted training goes on from
its checkpoint; `--only` leaves parts to other processes. The local model learns from logged rewards.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.harness import key_of, parser, write_json
from core.artifacts import Artifacts, StagePaths
from core.data.episode import Episode
from core.data.writer import DatasetWriter
from core.envs import TASKS, make_task
from core.envs.camera import make_judge
from core.envs.logs import play_episode
from core.jobs import presets
from core.jobs.presets import Preset
from core.jobs.spec import GlobalModelSpec, Kind, LocalModelSpec
from core.recorder import NullRecorder
from core.stages import global_model, local_model

PARTS = ("dataset", "global_model", "local_model")


class Progress(NullRecorder):
    """Says where a training is, four times a minute, and what it measured last."""

    def __init__(self) -> None:
        self.told = time.monotonic()
        self.values: dict[str, str] = {}

    def scalars(self, step: int, values: Any) -> None:
        self.values = {k: f"{v:.3g}" for k, v in values.items()}

    def progress(self, done: int, total: int, message: str = "") -> None:
        if time.monotonic() - self.told > 15 or done == total:
            self.told = time.monotonic()
            print(f"  {message} {done}/{total}", *self.values.items(), flush=True)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--task", choices=[*TASKS], default="push_t")
    options.add_argument("--preset", type=Preset, choices=[*Preset], default=Preset.SINGLE_GPU)
    options.add_argument("--episodes", type=int, default=800)
    options.add_argument("--image-size", type=int, default=64)
    options.add_argument("--options", type=json.loads, default={}, help="fields by part, JSON")
    options.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    artifacts, ids = Artifacts(chosen.home), ids_of(chosen)
    make: dict[str, Callable[[Path], Any]] = {
        "dataset": partial(make_dataset, chosen),
        "global_model": partial(train_global, chosen, artifacts, ids),
        "local_model": partial(train_local, chosen, artifacts, ids),
    }
    for part in chosen.only:
        place = artifacts.dataset if part == "dataset" else artifacts.model
        make_once(place(ids[part]), make[part])
    print(*(f"--{part.replace('_', '-')} {name}" for part, name in ids.items()))


def ids_of(chosen: argparse.Namespace) -> dict[str, str]:
    """Names that follow from the settings."""
    asked = {k: getattr(chosen, k) for k in ("task", "episodes", "image_size", "seed")}
    ids = {"dataset": f"ds_{key_of(asked)}"}
    for part, prefix in (("global_model", "gm"), ("local_model", "lm")):
        fields = fields_of(chosen, Kind(part))
        ids[part] = f"{prefix}_{key_of(asked | {'part': part, 'fields': fields})}"
    return ids


def fields_of(chosen: argparse.Namespace, kind: Kind) -> dict[str, Any]:
    """A model's fields: the preset's, then the command's own."""
    return {**presets.overrides(chosen.preset, kind), **chosen.options.get(kind.value, {})}


def make_once(place: Path, make: Callable[[Path], Any]) -> None:
    """Make a folder and put it in place whole, unless it is there."""
    if place.exists():
        return
    beside = place.with_name(f".{place.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    started = time.monotonic()
    found = make(beside)
    if isinstance(found, dict):
        kept = {"seconds": time.monotonic() - started, **found}
        write_json(beside / "training.json", kept)
        print(place.name, {k: v for k, v in kept.items() if isinstance(v, float)}, flush=True)
    beside.rename(place)


def make_dataset(chosen: argparse.Namespace, out: Path) -> None:
    """Play, as a dataset."""
    play = partial(one_episode, chosen.task, chosen.image_size, chosen.seed)
    with ProcessPoolExecutor() as pool, DatasetWriter(out) as writer:
        for episode in pool.map(play, range(chosen.episodes), chunksize=4):
            writer.append(episode)
        fps = make_task(chosen.task).metadata["render_fps"]
        writer.finish(
            name=chosen.task, fps=fps, action_kind="delta", task=chosen.task, seed=chosen.seed
        )


def one_episode(task: str, image_size: int, seed: int, number: int) -> Episode:
    """An episode of play by its number."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, number])
    env, policy = make_judge(task, image_size), TASKS[task].play()
    played = play_episode(env, policy, rng, TASKS[task].play_start(rng))
    return Episode(
        played["image"],
        played["action"],
        state=played["state"],
        reward=played["reward"],
        terminated=played["terminated"],
        success=played["success"],
        source=f"play {number}",
    )


def train_global(
    chosen: argparse.Namespace, artifacts: Artifacts, ids: dict[str, str], out: Path
) -> dict[str, Any]:
    """The global model and its reward model."""
    fields = {"dataset": ids["dataset"], "seed": chosen.seed}
    spec = GlobalModelSpec.model_validate(fields | fields_of(chosen, Kind.GLOBAL_MODEL))
    return global_model.run(spec, paths_of(artifacts, ids["global_model"], out), Progress())


def train_local(
    chosen: argparse.Namespace, artifacts: Artifacts, ids: dict[str, str], out: Path
) -> dict[str, Any]:
    """The local model."""
    fields = {"dataset": ids["dataset"], "seed": chosen.seed}
    spec = LocalModelSpec.model_validate(fields | fields_of(chosen, Kind.LOCAL_MODEL))
    return local_model.run(spec, paths_of(artifacts, ids["local_model"], out), Progress())


def paths_of(artifacts: Artifacts, name: str, out: Path) -> StagePaths:
    """Checkpoints that outlive an interrupted run."""
    checkpoints = artifacts.root / "benchmarks" / "worlds" / name
    checkpoints.mkdir(parents=True, exist_ok=True)
    return StagePaths(artifacts, checkpoints, out)


if __name__ == "__main__":
    main()
