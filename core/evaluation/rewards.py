"""Does the reward model rank held-out frames as the task does?"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.data.dataset import Dataset
from core.envs.push_disc import ARENA_PX, GOAL, distance
from core.envs.push_t_reward import corner_distance
from core.evaluation.statistics import bootstrap_interval, spearman
from core.global_model.model import to_float
from core.global_model.reward import RewardModel

Numbers = NDArray[np.float64]
MOST_FRAMES = 20_000
RESAMPLES = 500
BATCH = 256


def reward_report(reward: RewardModel, dataset: Dataset, seed: int = 0) -> dict[str, Any]:
    """Rank correlations (Spearman) of the learned reward on held-out episodes, by what with.

    `reward_vs_progress`: the task's own progress, from logged states, for tasks known here.
    `reward_vs_logged`: logged rewards. `reward_vs_time`: steps since the episode began.
    Each over all frames, `…_per_episode` as the mean over episodes (time only so), with 95 %
    intervals over resampled episodes. What was not logged is left out.
    """
    episodes = held_out_rows(dataset)
    learned = [rewards_at(reward, dataset, rows).astype(np.float64) for rows in episodes]
    truths = {
        "progress": true_progress(dataset),
        "logged": None if dataset.reward is None else lambda rows: logged(dataset, rows),
    }
    found: dict[str, Any] = {}
    for name, truth in truths.items():
        if truth is not None:
            values = [truth(rows) for rows in episodes]
            found |= correlations(f"reward_vs_{name}", learned, values, seed)
    times = [rows.astype(np.float64) for rows in episodes]
    within = correlations("reward_vs_time", learned, times, seed)
    return found | {name: value for name, value in within.items() if "per_episode" in name}


def correlations(
    name: str, learned: list[Numbers], truth: list[Numbers], seed: int = 0
) -> dict[str, Any]:
    """Over all frames and as a mean over episodes in which both vary, with intervals."""
    each = np.array(
        [spearman(x, y) for x, y in zip(learned, truth, strict=True) if np.ptp(x) and np.ptp(y)]
    )

    def overall(which: Numbers) -> float:
        picked = which.astype(int)
        return spearman(*(np.concatenate([side[i] for i in picked]) for side in (learned, truth)))

    everyone = np.arange(len(learned), dtype=np.float64)
    found: dict[str, Any] = {
        name: overall(everyone),
        f"{name}_interval": bootstrap_interval(overall, everyone, seed=seed, resamples=RESAMPLES),
    }
    if len(each):
        interval = bootstrap_interval(lambda x: float(x.mean()), each, seed=seed)
        found |= {
            f"{name}_per_episode": float(each.mean()),
            f"{name}_per_episode_interval": interval,
        }
    return found


def held_out_rows(dataset: Dataset) -> list[NDArray[np.int64]]:
    """Rows of held-out frames that an action led to, by episode; every n-th if there are many."""
    total = sum(e.length - 1 for e in dataset.validation)
    stride = max(1, -(-total // MOST_FRAMES))
    return [np.arange(e.start + 1, e.start + e.length, stride) for e in dataset.validation]


@torch.no_grad()
def rewards_at(
    reward: RewardModel, dataset: Dataset, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The learned reward for arriving at these frames, none of which begins an episode."""
    device = reward.mean.device
    found = np.empty(len(rows), np.float32)
    for first in range(0, len(rows), BATCH):
        some = rows[first : first + BATCH]
        frames = to_float(torch.from_numpy(dataset.frames[some]).to(device))
        actions = torch.from_numpy(dataset.actions[some - 1]).to(device)
        found[first : first + BATCH] = reward.reward(frames, actions).cpu().numpy()
    return found


def logged(dataset: Dataset, rows: NDArray[np.int64]) -> Numbers:
    """The logged reward for arriving at these frames."""
    assert dataset.reward is not None
    return np.asarray(dataset.reward)[rows - 1].astype(np.float64)


def true_progress(dataset: Dataset) -> Callable[[NDArray[np.int64]], Numbers] | None:
    """Progress at rows from logged states, minus a distance in pixels; None for unknown tasks."""
    known = {"push_disc": (4, disc_progress), "push_t": (6, t_progress)}
    size, progress = known.get(dataset.meta.task or "", (0, None))
    states = dataset.state
    if progress is None or states is None or states.shape[1] != size:
        return None
    return lambda rows: progress(np.asarray(states)[rows].astype(np.float64))


def disc_progress(states: Numbers) -> Numbers:
    """Minus the disc's distance to the goal; states as `PushDiscEnv` observes them."""
    return -distance(in_pixels(states[:, 2:4]), GOAL)


def t_progress(states: Numbers) -> Numbers:
    """Minus the mean distance of the T's corners to where they belong; `PushTEnv`'s states."""
    angles = np.arctan2(states[:, 5], states[:, 4])
    poses = np.concatenate([in_pixels(states[:, 2:4]), angles[:, None]], 1)
    return -np.array([corner_distance(pose) for pose in poses])


def in_pixels(scaled: Numbers) -> Numbers:
    """Positions in [-1, 1] as pixels of the arena, which is as large in both tasks."""
    return (scaled + 1) * (ARENA_PX / 2)
