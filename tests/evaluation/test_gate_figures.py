"""Do actions matter, and are rewards worth what they say? Against closed forms."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from core.evaluation.calibration import calibration
from core.evaluation.sensitivity import action_sensitivity, episodes_of
from core.global_model.model import Step
from tests.training.makers import SIZE, bar_dataset


class Bars:
    """A world that knows how `bar_dataset` moves its bar, and may not listen."""

    config = SimpleNamespace(context=2)
    denoiser = SimpleNamespace(device=torch.device("cpu"))

    def __init__(self, listens: bool) -> None:
        self.listens = listens

    def step(self, frames: Tensor, actions: Tensor, generator: torch.Generator) -> Step:
        light = (frames[:, -1].mean((1, 2)) + 1) / 2
        columns = torch.arange(SIZE)
        place = (light * columns).sum(-1) / light.sum(-1)
        if self.listens:
            place = place + actions[:, -1, 0]
        bar = torch.exp(-((columns - place[:, None]) ** 2) / 4) * 2 - 1
        frame = bar[:, None, None, :].expand(-1, 3, SIZE, SIZE)
        nothing = torch.zeros(len(frames))
        return Step(frame, nothing, nothing)


def test_a_world_that_does_not_listen_gains_nothing_from_the_right_actions(tmp_path: Path) -> None:
    dataset = bar_dataset(tmp_path / "d")
    deaf: Any = Bars(listens=False)
    found = action_sensitivity(deaf, dataset, horizon=6, count=16, seed=0)
    assert np.array_equal(found.gain, np.zeros(6))
    assert found.shuffled.shape == (6,)


def test_a_world_that_listens_gains_from_the_right_actions(tmp_path: Path) -> None:
    dataset = bar_dataset(tmp_path / "d", episodes=30)
    keen: Any = Bars(listens=True)
    found = action_sensitivity(keen, dataset, horizon=6, count=32, seed=0)
    assert found.gain[-1] > 2
    assert found.interval[-1, 0] > 0
    again = action_sensitivity(keen, dataset, horizon=6, count=32, seed=0)
    assert np.array_equal(found.gain, again.gain)


def test_rows_know_their_episode(tmp_path: Path) -> None:
    dataset = bar_dataset(tmp_path / "d", episodes=3, length=5)
    assert episodes_of(dataset, np.array([0, 4, 5, 14])).tolist() == [0, 0, 1, 2]


@given(
    st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=2, max_size=60),
    st.floats(-5, 5),
)
def test_rewards_that_are_off_by_a_constant_are_off_by_it_in_deviations(
    values: list[float], shift: float
) -> None:
    logged = np.array(values)
    found = calibration(logged + shift, logged)
    assert found.counts.sum() == len(values)
    scale = logged.std() or 1.0
    assert found.error == pytest.approx(abs(shift) / scale, abs=1e-6, rel=1e-4)
    assert (np.diff(found.imagined) > 0).all()


def test_noise_without_bias_is_less_of_an_error_than_bias() -> None:
    rng = np.random.default_rng(0)
    logged = rng.normal(size=4000)
    noisy = calibration(logged, logged + rng.normal(0, 0.5, 4000))
    assert noisy.error < 0.05
    assert calibration(2 * logged, logged).error > 0.5


def test_calibration_needs_as_many_of_both() -> None:
    with pytest.raises(ValueError, match="as many"):
        calibration(np.zeros(3), np.zeros(4))
