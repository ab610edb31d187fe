"""Contact read from logged states is the simulator's own."""

import numpy as np
import pytest

from core.envs import TASKS, make_task
from core.evaluation.contact import touching


def play(task: str, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """States (steps + 1, dim) and the simulator's count of contacts before each of them."""
    env, policy = make_task(task, image_size=16), TASKS[task].play()
    observation, _ = env.reset(seed=seed)
    policy.reset(np.random.default_rng(seed))
    states, contacts = [observation["state"]], [0]
    for _ in range(steps):
        observation, *_, info = env.step(policy.act(observation))
        states.append(observation["state"])
        contacts.append(info["n_contacts"])
    env.close()
    return np.stack(states), np.array(contacts)


@pytest.mark.parametrize("seed", range(3))
def test_the_disc_is_touched_where_the_simulator_counts_contacts(seed: int) -> None:
    states, contacts = play("push_disc", 70, seed)
    found = touching("push_disc", states)
    assert contacts.any()
    assert (found == (contacts > 0)).mean() > 0.9, "but for the last moment of leaving or reaching"
    moved_px = 256 * np.linalg.norm(np.diff(states[:, 2:], axis=0), axis=1)
    assert found[1:][moved_px > 1].all(), "what moves is being pushed"


@pytest.mark.parametrize("seed", range(3))
def test_the_t_moves_only_in_contact(seed: int) -> None:
    states, contacts = play("push_t", 100, seed)
    found = touching("push_t", states)
    assert found.any()
    assert not found[0]
    before = contacts > 0
    before[1:] |= contacts[:-1] > 0  # a pushed T slides on for a moment
    assert before[found].all()


def test_windows_are_read_side_by_side() -> None:
    states = np.stack([play("push_t", 12, seed)[0] for seed in (0, 1)])
    both = touching("push_t", states)
    assert np.array_equal(both[1], touching("push_t", states[1]))


def test_a_t_that_turns_through_a_half_circle_boundary_did_not_jump() -> None:
    angles = np.pi + np.array([-0.001, 0.001])
    state = np.stack([[0, 0, 0, 0, np.cos(a), np.sin(a)] for a in angles])
    assert not touching("push_t", state).any()


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(ValueError, match=r"'juggling'.*push_disc"):
        touching("juggling", np.zeros((3, 4)))
