"""Rewards of real frames, said by the global reward model."""

import dataclasses

import numpy as np

from core.data.dataset import Dataset
from core.evaluation.rewards import rewards_at
from core.global_model.model import GlobalModel


def labelled(dataset: Dataset, model: GlobalModel) -> Dataset:
    """The dataset with the rewards that local model and policy learn from (paper, §III-E).

    The reward model labels every real frame, once, just as it labels imagined ones. Where it was
    fitted to logged rewards, the logs themselves are the better label and stay.
    """
    if model.reward.kind == "logged" and dataset.reward is not None:
        return dataset
    return dataclasses.replace(dataset, reward=rewards_of(dataset, model))


def rewards_of(dataset: Dataset, model: GlobalModel) -> np.ndarray:
    """Reward of every row, (N,) f32: that of the frame arrived at; zero in an episode's last row."""
    rewards = np.zeros(len(dataset.frames), np.float32)
    arrived = np.ones(len(rewards), bool)
    arrived[[e.start for e in dataset.episodes]] = False
    rows = np.flatnonzero(arrived)
    rewards[rows - 1] = rewards_at(model.reward, dataset, rows)
    return rewards
