"""The push_disc task: interface, physics, reward and scripted policies."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from core.envs import TASKS, make_task
from core.envs.policies import Policy, PushDiscExpert, RandomPolicy
from core.envs.push_disc import (
    AGENT_RADIUS_PX,
    ARENA_PX,
    DISC_RADIUS_PX,
    GOAL,
    MAX_STEPS,
    START_PX,
    SUCCESS_PX,
    TOUCH_PX,
    PushDiscEnv,
    push_point,
    reward,
)

actions = st.lists(
    st.tuples(st.floats(-1, 1, width=32), st.floats(-1, 1, width=32)), min_size=1, max_size=30
)


def state_of(
    agent: tuple[float, float] | np.ndarray, disc: tuple[float, float] | np.ndarray
) -> np.ndarray:
    return np.array([*agent, 0, 0, *disc, 0, 0, *agent, 0])


def rotated(points: np.ndarray, angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return (points - GOAL) @ np.array([[c, s], [-s, c]]) + GOAL


def test_gymnasium_checker_finds_nothing() -> None:
    check_env(gym.make("foglab/PushDisc-v0").unwrapped)


def test_same_seed_same_episode() -> None:
    a, b = make_task("push_disc", 32), make_task("push_disc", 32)
    first, second = a.reset(seed=3)[0], b.reset(seed=3)[0]
    moves = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    for move in moves:
        np.testing.assert_array_equal(first["pixels"], second["pixels"])
        np.testing.assert_array_equal(first["state"], second["state"])
        first, second = a.step(move)[0], b.step(move)[0]
    assert not np.array_equal(a.reset()[0]["state"], a.reset()[0]["state"])


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), moves=actions, pull=st.floats(0, 1))
def test_restored_state_continues_bit_for_bit(
    seed: int, moves: list[tuple[float, float]], pull: float
) -> None:
    env, used = PushDiscEnv(16), PushDiscEnv(16)
    env.reset(seed=seed)
    used.reset(seed=seed + 1)
    for move in moves:
        state = env.get_state()
        towards = (state[4:6] - state[0:2]) / 64  # contact is where hidden state would be
        action = np.clip(np.array(move) + pull * towards, -1, 1)
        used.set_state(state)
        got, expected = used.step(action), env.step(action)
        np.testing.assert_array_equal(used.get_state(), env.get_state())
        np.testing.assert_array_equal(got[0]["pixels"], expected[0]["pixels"])
        assert got[1:] == expected[1:]
        used.step(np.array(move))  # leaves something else behind


@settings(max_examples=20, deadline=None)
@given(angle=st.floats(0, 2 * np.pi), seed=st.integers(0, 1000))
def test_physics_turns_with_the_scene(angle: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    disc = GOAL + rng.uniform(-40, 40, 2)
    agent = disc + (TOUCH_PX + 10) * np.array([np.cos(seed), np.sin(seed)])
    plain, turned = PushDiscEnv(16), PushDiscEnv(16)
    plain.set_state(state_of(agent, disc))
    turned.set_state(state_of(rotated(agent, angle), rotated(disc, angle)))
    for _ in range(3):
        towards = plain.get_state()[4:6] - plain.get_state()[0:2]
        move = 0.6 * towards / np.linalg.norm(towards) + rng.uniform(-0.1, 0.1, 2)
        *_, info = plain.step(move)
        turned.step(rotated(move + GOAL, angle) - GOAL)
        assert info["n_contacts"] > 0 or np.array_equal(disc, plain.get_state()[4:6])
    expected = rotated(plain.get_state()[[0, 1, 4, 5]].reshape(2, 2), angle).ravel()
    np.testing.assert_allclose(turned.get_state()[[0, 1, 4, 5]], expected, atol=1e-6)


def test_disc_moves_with_the_agent_and_stops_with_it() -> None:
    env = PushDiscEnv(16)
    env.set_state(state_of((150.0, 256.0), (150.0 + TOUCH_PX, 256.0)))
    *_, info = env.step(np.array([1.0, 0.0]))
    pushed = env.get_state()
    assert info["n_contacts"] > 0
    assert pushed[4] - 150 - TOUCH_PX == pytest.approx(0.944 * 32, abs=1)
    for _ in range(3):
        env.step(np.zeros(2))
    np.testing.assert_allclose(env.get_state()[4:6], pushed[4:6], atol=1)
    *_, info = env.step(np.array([-1.0, 0.0]))
    assert info["n_contacts"] <= 1


def test_nobody_leaves_the_arena_or_is_squeezed() -> None:
    env, rng = PushDiscEnv(16), np.random.default_rng(0)
    for seed in range(10):
        env.reset(seed=seed)
        corner = rng.uniform(-100, ARENA_PX + 100, 2)
        for _ in range(40):
            state = env.get_state()
            move = (state[4:6] - state[0:2]) / 40 + (corner - state[4:6]) / 200
            env.step(np.clip(move, -1, 1))
            agent, disc = env.get_state()[0:2], env.get_state()[4:6]
            assert (np.abs(agent - 256) <= 256 - AGENT_RADIUS_PX + 1e-9).all()
            assert (np.abs(disc - 256) <= 256 - DISC_RADIUS_PX + 5).all()
            assert np.linalg.norm(agent - disc) > TOUCH_PX - 12


@given(
    agent=st.tuples(st.floats(28, 484), st.floats(28, 484)),
    disc=st.tuples(st.floats(45, 467), st.floats(45, 467)),
)
def test_reward_is_its_closed_form(agent: tuple[float, float], disc: tuple[float, float]) -> None:
    a, d = np.array(agent), np.array(disc)
    to_goal = np.hypot(*(d - 256))
    behind = d + (d - 256) / to_goal * 73 if to_goal > 1e-6 else d
    near = min(1, to_goal / 60)
    expected = 1 - to_goal / 300 - 0.4 * near - 0.4 * near * np.hypot(*(a - behind)) / 200
    assert float(reward(a, d)) == pytest.approx(expected, abs=1e-6)
    batch = reward(np.stack([a, a + 1]), np.stack([d, d]))
    assert batch.shape == (2,)
    assert float(batch[0]) == pytest.approx(float(reward(a, d)), abs=1e-12)


def test_reward_is_of_the_state_after_the_step() -> None:
    env = PushDiscEnv(16)
    env.reset(seed=1)
    _, value, *_ = env.step(np.array([0.5, -0.5]))
    assert value == float(reward(env.get_state()[0:2], env.get_state()[4:6]))


def test_push_point_is_behind_the_disc() -> None:
    np.testing.assert_allclose(push_point(np.array([356.0, 256.0])), [356 + TOUCH_PX, 256])
    assert np.isfinite(push_point(GOAL)).all()


def test_start_is_far_from_goal_and_free_of_contact() -> None:
    env = PushDiscEnv(16)
    for seed in range(50):
        _, info = env.reset(seed=seed)
        state = env.get_state()
        assert START_PX[0] <= info["distance_px"] <= START_PX[1]
        assert np.linalg.norm(state[0:2] - state[4:6]) >= TOUCH_PX + 5
        assert not info["is_success"]


def test_episode_is_cut_after_its_steps_and_never_ends() -> None:
    env = PushDiscEnv(16)
    env.reset(seed=0)
    ends = [env.step(np.zeros(2))[2:4] for _ in range(MAX_STEPS)]
    assert ends == [(False, False)] * (MAX_STEPS - 1) + [(False, True)]


def success_count(policy: Policy, episodes: int) -> int:
    env, count = PushDiscEnv(8), 0
    for seed in range(episodes):
        observation, info = env.reset(seed=seed)
        policy.reset(np.random.default_rng(seed))
        for _ in range(MAX_STEPS):
            observation, _, _, _, info = env.step(policy.act(observation))
        count += info["is_success"]
        assert info["is_success"] == (info["distance_px"] <= SUCCESS_PX)
    return count


def test_expert_succeeds_where_random_fails() -> None:
    assert success_count(PushDiscExpert(), 60) >= 54
    assert success_count(RandomPolicy(), 60) <= 3


def test_play_is_rich_in_contact_and_covers_the_actions() -> None:
    env, play = PushDiscEnv(8), TASKS["push_disc"].play()
    touching, near, moves = [], [], []
    for seed in range(40):
        observation, _ = env.reset(seed=seed)
        play.reset(np.random.default_rng(seed))
        for _ in range(MAX_STEPS):
            moves.append(play.act(observation))
            observation, *_, info = env.step(moves[-1])
            touching.append(info["n_contacts"] > 0)
            near.append(info["distance_px"] < 60)
    assert np.mean(touching) > 0.18
    assert np.mean(near) > 0.18
    cells, _, _ = np.histogram2d(*np.array(moves).T, bins=4, range=[[-1, 1], [-1, 1]])
    assert cells.min() > 0.3 * cells.mean()
    assert cells.max() < 2 * cells.mean()


@pytest.mark.parametrize("action", [[0.0], [np.nan, 0.0], [[0.0, 0.0]]])
def test_bad_action_is_refused(action: list[float]) -> None:
    env = PushDiscEnv(16)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="two finite numbers"):
        env.step(np.array(action))


def test_bad_state_and_task_are_refused() -> None:
    with pytest.raises(ValueError, match="11 finite numbers"):
        PushDiscEnv(16).set_state(np.zeros(10))
    with pytest.raises(ValueError, match="no task 'juggle'"):
        make_task("juggle")
