"""Rank correlations of rewards: closed forms, and progress as the simulators know it."""

import numpy as np
import pytest

from core.envs import TASKS, make_task
from core.evaluation.rewards import correlations, disc_progress, t_progress


def test_any_rising_function_of_the_truth_correlates_fully() -> None:
    rng = np.random.default_rng(0)
    truth = [rng.normal(size=20) for _ in range(5)]
    found = correlations("r", [np.exp(x) for x in truth], truth)
    assert found["r"] == found["r_per_episode"] == pytest.approx(1)
    assert found["r_interval"] == pytest.approx((1, 1))


def test_right_within_episodes_is_told_from_right_between_them() -> None:
    """Each episode is ranked backwards, the episodes themselves rightly."""
    truth = [np.arange(10.0) + 100 * n for n in range(8)]
    learned = [x[::-1].copy() for x in truth]
    found = correlations("r", learned, truth)
    assert found["r"] > 0.9
    assert found["r_per_episode"] == pytest.approx(-1)


def test_episodes_in_which_nothing_happens_count_for_nothing_within() -> None:
    moving, still = np.arange(6.0), np.zeros(6)
    assert correlations("r", [moving, moving], [moving, still])["r_per_episode"] == pytest.approx(1)
    assert "r_per_episode" not in correlations("r", [moving], [still])


def test_progress_of_the_disc_is_that_of_the_simulator() -> None:
    env, play = make_task("push_disc", image_size=32), TASKS["push_disc"].play()
    observation, _ = env.reset(seed=3)
    play.reset(np.random.default_rng(3))
    states, distances = [], []
    for _ in range(40):
        observation, _, _, _, info = env.step(play.act(observation))
        states.append(observation["state"].astype(np.float64))
        distances.append(info["distance_px"])
    env.close()
    np.testing.assert_allclose(-disc_progress(np.stack(states)), distances, atol=1e-3)


def test_a_t_that_lies_on_its_goal_has_no_way_to_go() -> None:
    turn = np.pi / 4
    state = np.array([[0.3, 0.1, 0.0, 0.0, np.cos(turn), np.sin(turn)]])
    assert t_progress(state)[0] == pytest.approx(0, abs=1e-9)
    moved = state + np.array([[0, 0, 0.1, 0, 0, 0]])
    assert t_progress(moved)[0] == pytest.approx(-25.6)
