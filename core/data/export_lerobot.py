"""Datasets and imagined rollouts as LeRobot v3.0, which other tools open."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from core.data.dataset import Dataset, EpisodeInfo
from core.data.imagined import ImaginedEpisode
from core.data.lerobot_layout import Column, Layout, Pictures
from core.data.lerobot_writer import LeRobotWriter

CAMERA = "observation.image"
IMAGINED, REAL = "observation.images.imagined", "observation.images.real"
_FEATURES = {
    "actions": "action",
    "state": "observation.state",
    "reward": "next.reward",
    "terminated": "next.done",
    "success": "success",
}
"""Field of a dataset to feature."""
Listener = Callable[[int, int], None]
"""Told the number of episodes done and of all."""


def export_dataset(dataset: Dataset, root: Path, pictures: Pictures, told: Listener) -> None:
    """Write all episodes of a dataset; row t holds frame t and what was done there.

    The last row of an episode has no action of its own: absolute actions are repeated, changes
    are zero. Readers that pair a frame with the action taken there drop that row.
    """
    fields = {f: v for f, v in dataset.fields().items() if f != "frames"}
    names = dataset.meta.names
    columns = {
        _FEATURES[f]: Column(
            "bool" if f in ("terminated", "success") else "float32",
            1 if v.ndim == 1 else v.shape[1],
            names.get(f, ()),
        )
        for f, v in fields.items()
    }
    if "success" in fields:
        columns["next.success"] = Column("bool")
    if "terminated" not in fields:
        columns["next.done"] = Column("bool")
    task = dataset.meta.task or dataset.meta.name
    layout = Layout(dataset.meta.fps, {CAMERA: dataset.meta.image_size}, columns, pictures)
    with LeRobotWriter(root, layout) as writer:
        for done, episode in enumerate(dataset.episodes, start=1):
            rows = slice(episode.start, episode.start + episode.length)
            writer.append({CAMERA: dataset.frames[rows]}, _values(dataset, episode), task)
            told(done, len(dataset.episodes))
        writer.finish({"action_kind": dataset.meta.action_kind, "units": dataset.meta.units})


def _values(dataset: Dataset, episode: EpisodeInfo) -> dict[str, np.ndarray]:
    """Feature to rows of one episode."""
    rows = slice(episode.start, episode.start + episode.length)
    values = {_FEATURES[f]: np.array(v[rows]) for f, v in dataset.fields().items() if f != "frames"}
    if dataset.meta.action_kind == "absolute":
        values["action"][-1] = values["action"][-2]
    done = values.setdefault("next.done", np.zeros(episode.length, bool)).astype(bool)
    done[-1] = True  # by custom the last row ends the episode, for whatever reason
    values["next.done"] = done
    if "success" in values:
        after = values["success"].astype(bool)
        values["next.success"] = np.append(after[1:], after[-1])
    return values


def export_imagined(
    episodes: Sequence[ImaginedEpisode],
    tasks: Sequence[str],
    fps: float,
    root: Path,
    pictures: Pictures,
    told: Listener,
) -> None:
    """Write imagined episodes; what really came is a second camera beside each."""
    first = episodes[0]
    height, width = first.imagined.shape[1:3]
    columns = {
        "action": Column("float32", first.actions.shape[1]),
        "next.reward": Column("float32"),
        "next.done": Column("bool"),
    }
    layout = Layout(fps, dict.fromkeys((IMAGINED, REAL), (height, width)), columns, pictures)
    with LeRobotWriter(root, layout) as writer:
        for done, (one, task) in enumerate(zip(episodes, tasks, strict=True), start=1):
            steps = len(one.actions)
            values = {
                "action": np.concatenate([one.actions, np.zeros_like(one.actions[:1])]),
                "next.reward": np.append(one.reward, 0),
                "next.done": np.arange(steps + 1) == steps,
            }
            writer.append({IMAGINED: one.imagined, REAL: one.real}, values, task)
            told(done, len(episodes))
        writer.finish({"imagined": True})
