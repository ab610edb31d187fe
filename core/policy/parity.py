"""How far an exported policy's actions are from the original's, on real frames."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.dataset import Dataset
from core.policy.runners import StepFunction

BATCHES = (1, 7, 32)
FRAMES = 100


def real_frames(dataset: Dataset, most: int = FRAMES) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Up to `most` frames (N, H, W, 3), held-out ones first, and where an episode begins."""
    rows: list[int] = []
    begins: list[bool] = []
    for episode in (*dataset.validation, *dataset.train):
        length = min(episode.length, most - len(rows))
        rows += range(episode.start, episode.start + length)
        begins += [i == 0 for i in range(length)]
    return np.array(dataset.frames[rows]), np.array(begins)


def compare(
    original: StepFunction,
    exported: StepFunction,
    frames: NDArray[np.uint8],
    begins: NDArray[Any],
    state_dim: int,
    action_dim: int,
) -> dict[str, dict[str, float]]:
    """Batch size to the largest absolute difference of an action, and of the memory.

    Each side keeps its own memory over all frames, so that differences may add up. Stream i of a
    batch sees the same frames, begun i frames later. Actions are drawn, with the same noise.
    """
    rng = np.random.default_rng(0)
    found = {}
    for batch in BATCHES:
        order = (np.arange(len(frames))[:, None] + np.arange(batch)) % len(frames)
        ours = theirs = np.zeros((batch, state_dim), np.float32)
        worst = {"action": 0.0, "state": 0.0}
        for t, seen in enumerate(order):
            reset = begins[seen] | (t == 0)
            noise = rng.normal(size=(batch, action_dim)).astype(np.float32)
            action, ours = original(frames[seen], ours, reset, noise)
            other, theirs = exported(frames[seen], theirs, reset, noise)
            worst["action"] = max(worst["action"], float(np.abs(action - other).max()))
            worst["state"] = max(worst["state"], float(np.abs(ours - theirs).max()))
        found[str(batch)] = worst
    return found
