"""Figures of merit against closed forms."""

import numpy as np
import pytest
import torch

from core.envs import TASKS, make_task
from core.envs.camera import make_judge
from core.evaluation.fidelity import psnr
from core.evaluation.gradients import Situations, cosines, true_gradients
from core.evaluation.success import ScriptedBatch, mean_interval, run_episodes, share_interval


def test_psnr_is_its_closed_form() -> None:
    reference = torch.zeros(2, 3, 8, 8)
    error = torch.full_like(reference, 0.02)  # frames in [-1, 1]: a peak-to-peak range of 2
    torch.testing.assert_close(psnr(reference + error, reference), torch.full((2,), 40.0))


def test_cosines_leave_out_rows_without_gradient() -> None:
    left = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    right = torch.tensor([[2.0, 0.0], [1.0, 0.0], [-1.0, -1.0]])
    torch.testing.assert_close(cosines(left, right), torch.tensor([1.0, -1.0]))


def test_share_interval_is_wilsons() -> None:
    assert share_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert share_interval(0, 100)[0] == 0
    assert share_interval(100, 100)[1] == pytest.approx(1)


def test_mean_interval_holds_the_mean_in_about_95_of_100_samples() -> None:
    rng = np.random.default_rng(0)
    held = [
        low <= 1 <= high for low, high in (mean_interval(rng.normal(1, 2, 60)) for _ in range(400))
    ]
    assert 0.91 <= np.mean(held) <= 0.98


def test_finite_differences_are_the_derivative_where_the_reward_is_known() -> None:
    """Far from the disc the agent just moves: the reward changes by its distance term alone."""
    env = make_task("push_disc", image_size=32)
    env.reset(seed=0)
    state = env.unwrapped.get_state()  # type: ignore[attr-defined]
    state[:] = 0
    state[0:2] = state[8:10] = (60.0, 256.0)  # agent, far left
    state[4:6] = (376.0, 256.0)  # disc right of the goal: the agent should get behind it
    situations = Situations(
        np.zeros((1, 1, 32, 32, 3), np.uint8), np.zeros((1, 1, 2), np.float32), state[None]
    )
    gradient = true_gradients(env, situations, horizon=1, step=0.2)[0]
    assert gradient[0] == pytest.approx(0.4 / 200 * 0.944 * 32, rel=0.02)
    assert abs(gradient[1]) < 1e-3


def test_episodes_depend_on_the_seed_only() -> None:
    def outcome(seed: int) -> np.ndarray:
        policy = ScriptedBatch(TASKS["push_disc"].play)
        return run_episodes(lambda: make_judge("push_disc", 32), policy, 3, seed).returns

    assert np.array_equal(outcome(1), outcome(1))
    assert not np.array_equal(outcome(1), outcome(2))


def test_coverage_is_the_largest_of_each_episode_where_the_task_knows_it() -> None:
    policy = ScriptedBatch(TASKS["push_t"].play)
    short, long = (run_episodes(lambda: make_judge("push_t", 32), policy, 3, 1, n) for n in (4, 40))
    assert short.coverage is not None
    assert long.coverage is not None
    assert (long.coverage >= short.coverage).all()
    assert (long.coverage > short.coverage).any()
    assert (long.coverage <= 1).all()
    disc = run_episodes(
        lambda: make_judge("push_disc", 32), ScriptedBatch(TASKS["push_disc"].play), 1, 1, 1
    )
    assert disc.coverage is None
    assert disc.passed is None


def test_cut_off_episodes_earn_the_first_steps_of_whole_ones() -> None:
    def outcome(max_steps: int | None) -> np.ndarray:
        policy = ScriptedBatch(TASKS["push_disc"].play)
        return run_episodes(lambda: make_judge("push_disc", 32), policy, 2, 1, max_steps).returns

    one, two = outcome(1), outcome(2)
    assert not np.array_equal(one, two)
    assert (np.abs(two - one) < 1.5).all(), "one more step, one more reward"
    assert np.array_equal(outcome(80), outcome(None))
