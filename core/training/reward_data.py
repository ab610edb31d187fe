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
            success_ahead(dataset, spec.success_discount)
        case "ranking":
            goal_rows(dataset, spec.goals)


def arrived_rows(dataset: Dataset) -> Rows:
    """Rows of training frames that an action led to: all but the first of each episode."""
    return np.concatenate([np.arange(e.start + 1, e.start + e.length) for e in dataset.train])


def success_ahead(dataset: Dataset, discount: float) -> NDArray[np.float32]:
    """`discount` to the number of steps until the next success of the episode, 0 without; (N,).

    Raises `ValueError` if there are no labels or only equal ones in training episodes.
    """
    if dataset.success is None:
        raise ValueError(
            "the dataset has no success labels: log `success` per frame, or choose reward logged "
            "or ranking"
        )
    labels, never = np.asarray(dataset.success) > 0, np.iinfo(np.int64).max
    shown = labels[arrived_rows(dataset)]
    if shown.all() or not shown.any():
        told = "shows" if shown.all() else "lacks"
        raise ValueError(
            f"every one of {len(shown)} training frames {told} success, so there is nothing to "
            "tell apart: log episodes of both, or choose reward ranking with goal frames"
        )
    ahead = np.zeros(len(labels), np.float32)
    for episode in dataset.episodes:
        rows = np.arange(episode.start, episode.start + episode.length)
        following = np.minimum.accumulate(np.where(labels[rows], rows, never)[::-1])[::-1]
        reached = following < never
        ahead[rows[reached]] = discount ** (following - rows)[reached].astype(np.float32)
    return ahead


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


def picked_goals(dataset: Dataset, count: int, seed: int = 0) -> tuple[GoalFrame, ...]:
    """Goal frames by label, in place of a person who picks them by eye; for benchmarks and tests.

    Last frames of training episodes that end in success; if those are too few, also the frames of
    highest logged reward, one per episode. The ranking reward itself sees no label.
    """
    train = [(n, e) for n, e in enumerate(dataset.episodes) if e.split == "train"]
    success, reward = dataset.success, dataset.reward
    ends = [n for n, e in train if success is not None and success[e.start + e.length - 1]]
    drawn = np.random.default_rng(seed).permutation(ends)[:count]
    goals = [GoalFrame(episode=int(n)) for n in sorted(drawn)]
    if reward is not None and len(goals) < count:
        best = {n: int(reward[e.start : e.start + e.length - 1].argmax()) for n, e in train}
        others = [(-float(reward[e.start + best[n]]), n) for n, e in train if n not in drawn]
        for _, n in sorted(others)[: count - len(goals)]:
            goals.append(GoalFrame(episode=n, frame=best[n] + 1))
    return tuple(goals)
