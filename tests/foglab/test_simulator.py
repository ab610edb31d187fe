"""The service's worlds as Gymnasium environments."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import foglab
from core.envs.camera import make_judge
from foglab.simulator import SimulatorEnv
from foglab.transport import ServiceError
from tests.api.conftest import Service
from tests.api.conftest import database_url as database_url
from tests.api.conftest import service as service
from tests.api.conftest import settings as settings
from tests.api.test_sim import played as played
from tests.simulation.makers import SIZE
from tests.simulation.serving import simulator


@pytest.fixture(scope="module")
def backend() -> str:
    return "sqlite"


@pytest.fixture(scope="module", autouse=True)
def engine(service: Service) -> Iterator[simulator]:
    with simulator(service.artifacts.root) as running:
        yield running


@pytest.fixture
def env(service: Service, played: tuple[str, str]) -> Iterator[SimulatorEnv]:
    env = foglab.make(service.url, token=service.token, max_steps=6, policy=played[1])
    yield env
    env.close()


def actions(steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, 2)).astype(np.float32)


@pytest.mark.filterwarnings("ignore:.*The environment.*", "ignore:.*not within.*")
@pytest.mark.parametrize("world", ["model", "simulator"])
def test_gymnasiums_checker_has_nothing_to_say(
    service: Service, played: tuple[str, str], world: str
) -> None:
    env = foglab.make(service.url, token=service.token, model=played[0], world=world)
    check_env(env, skip_render_check=False)
    env.close()


def test_an_episode_ends_at_its_horizon_and_the_seed_repeats_it(env: SimulatorEnv) -> None:
    def episode() -> tuple[list[np.ndarray], float, bool]:
        frame, info = env.reset(seed=5)
        assert info["seed"] == 5
        frames, total = [frame], 0.0
        for action in actions(6):
            frame, reward, _, truncated, info = env.step(action)
            frames.append(frame)
            total += reward
        assert info["return"] == pytest.approx(total)
        return frames, total, truncated

    one, again = episode(), episode()
    assert one[2]
    assert one[1] == again[1]
    assert np.array_equal(one[0], again[0])
    assert np.array_equal(env.render(), one[0][-1])
    with pytest.raises(ServiceError, match="The episode has ended"):
        env.step(actions(1)[0])


def test_the_true_simulator_is_played_like_a_local_one(
    service: Service, played: tuple[str, str]
) -> None:
    here = make_judge("push_disc", SIZE)
    there = foglab.make(service.url, token=service.token, model=played[0], world="simulator")
    assert np.array_equal(there.reset(seed=4)[0], here.reset(seed=4)[0]["pixels"])
    for action in actions(4):
        frame, reward, *_ = there.step(action)
        observation, expected, *_ = here.step(action)
        assert np.array_equal(frame, observation["pixels"])
        assert reward == expected
    there.close()


def test_a_policy_acts_where_no_action_is_given(env: SimulatorEnv) -> None:
    env.reset(seed=1)
    info = env.step(None)[4]
    assert (info["driver"], len(info["action"])) == ("policy", 2)


def test_environments_of_a_vector_equal_single_ones(
    service: Service, env: SimulatorEnv, played: tuple[str, str]
) -> None:
    envs = foglab.make_vec(service.url, 5, token=service.token, model=played[0], max_steps=3)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    frames, _ = envs.reset(seed=7)
    assert frames in envs.observation_space
    taken = np.stack([actions(5, seed) for seed in range(5)], 1)
    first, _ = env.reset(seed=7 + 2)
    assert np.array_equal(frames[2], first)
    for t in range(3):
        frames, rewards, terminated, truncated, info = envs.step(taken[t])
        frame, reward, *_ = env.step(taken[t, 2])
        assert np.abs(frames[2].astype(int) - frame).max() <= 2
        assert rewards[2] == pytest.approx(reward, abs=0.05)
        assert info["t"].tolist() == [t + 1] * 5
    assert truncated.all()
    assert not terminated.any()
    frames, rewards, terminated, truncated, info = envs.step(taken[3])  # begins the next episodes
    assert info["t"].tolist() == [0] * 5
    assert not rewards.any()
    assert not (terminated | truncated).any()
    assert envs.step(taken[4])[4]["t"].tolist() == [1] * 5
    envs.close()


def test_gymnasiums_own_wrapper_counts_episodes(service: Service, played: tuple[str, str]) -> None:
    envs = RecordEpisodeStatistics(
        foglab.make_vec(service.url, 2, token=service.token, model=played[0], max_steps=4)
    )
    envs.reset(seed=0)
    for row in actions(4):
        *_, info = envs.step(np.stack([row, row]))
    assert info["episode"]["l"].tolist() == [4, 4]
    envs.close()


@pytest.mark.parametrize("bad", [np.zeros(3), np.array([np.nan, 0.0]), np.zeros((1, 2))])
def test_bad_actions_do_not_leave_the_client(env: SimulatorEnv, bad: np.ndarray) -> None:
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(actions(1)[0])
    env.reset(seed=0)
    with pytest.raises(ValueError, match="2 finite numbers"):
        env.step(bad)
    env.step(actions(1)[0])


def test_an_ended_session_is_told_and_a_reset_starts_a_new_one(env: SimulatorEnv) -> None:
    _, info = env.reset(seed=0)
    env.world.one({"op": "close", "session_id": info["session_id"]})
    with pytest.raises(ServiceError, match="it was closed") as caught:
        env.step(actions(1)[0])
    assert caught.value.status == 410
    assert env.reset(seed=0)[1]["session_id"] != info["session_id"]
    env.world.disconnect()  # a cut line; the sessions of the connection are gone with it
    env.reset(seed=0)
    env.step(actions(1)[0])


def test_what_is_wrong_is_said(service: Service, played: tuple[str, str]) -> None:
    with pytest.raises(ServiceError) as caught:
        foglab.make(service.url, token="fog_wrong")
    assert caught.value.status == 401
    with pytest.raises(ServiceError, match="gm_00000000000000ff"):
        foglab.make(service.url, token=service.token, model="gm_00000000000000ff")
    env = foglab.make(service.url, token=service.token, model=played[0], world="moon")
    with pytest.raises(ServiceError, match="world"):
        env.reset()
    env.close()


def test_clients_load_without_torch() -> None:
    code = "import sys, foglab, foglab.simulator; assert 'torch' not in sys.modules"
    environ = {**os.environ, "PYTHONPATH": str(Path(foglab.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environ)
    assert issubclass(SimulatorEnv, gym.Env)
