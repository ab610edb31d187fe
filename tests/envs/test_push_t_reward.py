"""The shaped reward of Push-T's logs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.envs import TASKS, make_task
from core.envs.logs import play_episode
from core.envs.push_t import GOAL_POSE, PushTEnv
from core.envs.push_t_play import CLEAR_PX, PushTPlay
from core.envs.push_t_reward import approach_distance, corner_distance, pose_reward

GOAL = np.array(GOAL_POSE)
agents = st.tuples(st.floats(20, 490), st.floats(20, 490)).map(np.array)


@given(agents)
def test_reward_is_one_on_the_goal_wherever_the_agent_is(agent: np.ndarray) -> None:
    assert pose_reward(agent, GOAL) == pytest.approx(1.0)


@given(st.floats(-80, 80), st.floats(-80, 80))
def test_corner_distance_of_a_moved_t_is_the_length_of_the_move(x: float, y: float) -> None:
    assert corner_distance(GOAL + np.array([x, y, 0])) == pytest.approx(np.hypot(x, y), abs=1e-9)


@given(st.floats(-3, 3))
def test_full_turns_change_nothing(angle: float) -> None:
    pose, agent = np.array([200.0, 300.0, angle]), np.array([100.0, 100.0])
    turned = pose + np.array([0, 0, 2 * np.pi])
    assert corner_distance(turned) == pytest.approx(corner_distance(pose))
    assert approach_distance(agent, turned) == pytest.approx(approach_distance(agent, pose))


def test_pushing_from_the_right_side_is_nearer_than_from_the_wrong_one() -> None:
    pose = GOAL + np.array([0.0, -100.0, 0.0])  # the T must move along +y
    above, below = pose[:2] - np.array([0, 60]), pose[:2] + np.array([0, 160])
    assert approach_distance(above, pose) < approach_distance(below, pose)


def test_reward_has_a_slope_where_coverage_has_none() -> None:
    far = np.array([100.0, 100.0, 3.0])
    agent = np.array([400.0, 400.0])
    closer = far + np.array([5.0, 5.0, 0.0])
    assert pose_reward(agent, closer) > pose_reward(agent, far)


def test_half_of_play_starts_near_the_goal_with_the_agent_clear_of_the_t() -> None:
    starts = [TASKS["push_t"].play_start(np.random.default_rng(n)) for n in range(200)]
    near = [s["reset_to_state"] for s in starts if s is not None]
    assert 70 < len(near) < 130
    very_near = [s for s in near if corner_distance(s[2:]) < 25]
    assert 0.4 < len(very_near) / len(near) < 0.75
    env = make_task("push_t", 32)
    for start in near[:20]:
        env.reset(seed=0, options={"reset_to_state": start})
        pose = np.array([*start[2:]])
        assert corner_distance(pose) < 140
        assert np.linalg.norm(start[:2] - pose[:2]) > CLEAR_PX - 45
    env.close()


class Play(PushTPlay):
    """Play whose pushes are all careful, or none."""

    def __init__(self, *, careful: bool) -> None:
        self._all_are = float(careful)

    def reset(self, rng: np.random.Generator) -> None:
        super().reset(rng)
        self._useful = self._all_are


def test_careful_pushes_bring_the_t_near_its_goal_and_others_take_it_away() -> None:
    env = make_task("push_t", 32)
    start = {"reset_to_state": np.array([300.0, 400.0, GOAL[0] + 30, GOAL[1] - 20, GOAL[2] + 0.3])}
    ends = {}
    for careful in (True, False):
        play = Play(careful=careful)
        logs = [play_episode(env, play, np.random.default_rng(n), start) for n in range(6)]
        ends[careful] = np.median([log["reward"][-100:].mean() for log in logs])
    first = pose_reward(start["reset_to_state"][:2], start["reset_to_state"][2:])
    assert ends[False] < first < ends[True]
    env.close()


@pytest.mark.slow
def test_who_looks_two_steps_ahead_follows_the_reward_to_the_goal() -> None:
    env = make_task("push_t", 32)
    physics: PushTEnv = env.unwrapped  # type: ignore[assignment]
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ways = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    actions = [*ways, *0.35 * ways[::3]]

    def promise(action: np.ndarray, state: np.ndarray) -> float:
        physics.set_state(state)
        return sum(float(env.step(action)[1]) for _ in range(2))

    solved = 0
    for n in range(4):
        env.reset(seed=n)
        done = False
        for _ in range(200):
            state = physics.get_state()
            best = max(actions, key=lambda action: promise(action, state))
            physics.set_state(state)
            done = env.step(best)[2]
            if done:
                break
        solved += done
    env.close()
    assert solved >= 2
