"""What a dataset offers each kind of reward model, and clear words where it lacks it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.data.dataset import Dataset
from core.jobs.rewards import GoalFrame
from core.jobs.spec import GlobalModelSpec

Rows = NDArray[np.int64]


def check_reward(spec: GlobalModelSpec, dataset: Dataset) -> None:
    """Raise `ValueError` if the dataset lacks what the spec's reward learns from."""
    match spec.reward:
        case "logged":
            if dataset.reward is None:
                raise ValueError(
                    "the dataset has no rewards: log them, or choose reward success (needs success "
                    "labels) or ranking (needs goal frames only)"
                )
        case "success":
            success_rows(dataset)
        case "ranking":
            goal_rows(dataset, spec.goals)


def arrived_rows(dataset: Dataset) -> Rows:
    """Rows of training frames that an action led to: all but the first of each episode."""
    return np.concatenate([np.arange(e.start + 1, e.start + e.length) for e in dataset.train])


def success_rows(dataset: Dataset) -> tuple[Rows, Rows]:
    """Rows of training frames with and without success."""
    if dataset.success is None:
        raise ValueError(
            "the dataset has no success labels: log `success` per frame, or choose reward logged "
            "or ranking"
        )
    rows = arrived_rows(dataset)
    labels = np.asarray(dataset.success)[rows] > 0
    if labels.all() or not labels.any():
        told = "shows" if labels.all() else "lacks"
        raise ValueError(
            f"every one of {len(rows)} training frames {told} success, so there is nothing to tell "
            "apart: log episodes of both, or choose reward ranking with goal frames"
        )
    return rows[labels], rows[~labels]


def goal_rows(dataset: Dataset, goals: Sequence[GoalFrame]) -> Rows:
    """Rows of goal frames."""
    rows = []
    for goal in goals:
        if goal.episode >= len(dataset.episodes):
            raise ValueError(
                f"goal {goal} is outside the dataset: its episodes are 0 to "
                f"{len(dataset.episodes) - 1}"
            )
        episode = dataset.episodes[goal.episode]
        if not -episode.length <= goal.frame < episode.length:
            raise ValueError(
                f"goal {goal} is outside its episode: episode {goal.episode} has frames 0 to "
                f"{episode.length - 1}, or -1 to -{episode.length} from the end"
            )
        rows.append(episode.start + goal.frame % episode.length)
    return np.array(rows, np.int64)


def successful_ends(dataset: Dataset, count: int, seed: int = 0) -> tuple[GoalFrame, ...]:
    """Last frames of training episodes that end in success, in place of a person who picks them.

    For benchmarks and tests of the ranking reward, which itself sees no label.
    """
    assert dataset.success is not None, "without labels a person has to pick the goal frames"
    ends = [
        n
        for n, e in enumerate(dataset.episodes)
        if e.split == "train" and dataset.success[e.start + e.length - 1]
    ]
    chosen = np.random.default_rng(seed).permutation(ends)[:count]
    return tuple(GoalFrame(episode=int(n), frame=-1) for n in sorted(chosen))
