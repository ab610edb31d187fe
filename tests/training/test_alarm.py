"""The alarm: when it sounds, what it keeps, and that watching changes nothing."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from core.data.dataset import Dataset
from core.evaluation.trust import Trust
from core.recorder import Cancelled
from core.training.alarm import Alarm
from core.training.checkpoint import restore, save_checkpoint
from core.training.policy import train_policy
from tests.training.makers import (
    Listener,
    bar_dataset,
    global_model,
    local_model,
    policy_spec,
    small_actor,
    weights,
)

GOOD = {"disagreement": 1.0, "data_distance": 0.8, "surprise": 1.5, "reward_gap": 1.0}
BAD = GOOD | {"surprise": 9.0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return bar_dataset(tmp_path_factory.mktemp("bar") / "v1")


@pytest.fixture(scope="module")
def trust(dataset: Dataset) -> Trust:
    return Trust(dataset, global_model().eval(), local_model(), span=6, seed=0)


def alarm(trust: Trust, module: nn.Module | None = None, on_alarm: str = "stop") -> Alarm:
    spec = policy_spec(alarm_every=1, alarm_patience=3, on_alarm=on_alarm)
    return Alarm(spec, trust, {"actor": module or nn.Linear(1, 1)})


def judged(alarm: Alarm, checks: Iterable[tuple[float, dict[str, float]]]) -> Alarm:
    for step, (reward, measures) in enumerate(checks, start=1):
        alarm.judge(step, reward, measures)
    return alarm


def test_rising_reward_in_three_bad_checks_is_an_alarm_in_words(trust: Trust) -> None:
    found = judged(alarm(trust), [(0.1, GOOD), (0.2, BAD), (0.3, BAD), (0.4, BAD)])
    assert found.sounded
    said = found.end()["alarm"]
    assert "surprised the local model 9.0 times" in said
    assert "rollout 4" in said
    assert "policy of rollout 1" in said


@pytest.mark.parametrize(
    "checks",
    [
        [(0.4, GOOD), (0.3, BAD), (0.2, BAD), (0.1, BAD)],  # reward falls
        [(0.1, GOOD), (0.2, BAD), (0.3, BAD), (0.4, GOOD), (0.5, BAD), (0.6, BAD)],  # not in a row
        [(0.1 * n, GOOD) for n in range(20)],
    ],
)
def test_no_alarm(trust: Trust, checks: list[tuple[float, dict[str, float]]]) -> None:
    found = judged(alarm(trust), checks)
    assert not found.sounded
    assert found.end() == {"alarm": None}


@given(rewards=st.lists(st.floats(-1, 1), min_size=1, max_size=12))
def test_kept_weights_are_those_of_the_best_good_check(trust: Trust, rewards: list[float]) -> None:
    module = nn.Linear(1, 1)
    found = alarm(trust, module)
    for step, reward in enumerate(rewards, start=1):
        nn.init.constant_(module.weight, step)
        found.judge(step, reward, GOOD)
    for ahead in (1, 2, 3):
        nn.init.constant_(module.weight, -1.0)
        found.judge(len(rewards) + ahead, max(rewards) + ahead, BAD)
    found.end()
    assert module.weight.item() == 1 + rewards.index(max(rewards))


def test_without_a_good_check_the_result_says_not_to_trust_it(trust: Trust) -> None:
    module = nn.Linear(1, 1)
    before = weights(module)
    found = judged(alarm(trust, module), [(0.1, BAD), (0.2, BAD), (0.3, BAD)])
    assert "do not trust" in found.end()["alarm"]
    assert all(torch.equal(v, before[k]) for k, v in weights(module).items())


def test_recording_alarm_goes_on(trust: Trust) -> None:
    found = judged(alarm(trust, on_alarm="record"), [(0.1, GOOD), (0.2, BAD), (0.3, BAD), (1, BAD)])
    assert found.sounded
    assert "went on" in found.end()["alarm"]


def test_memory_survives_a_checkpoint(trust: Trust, tmp_path: Path) -> None:
    first = judged(alarm(trust), [(0.1, GOOD), (0.2, BAD), (0.3, BAD)])
    save_checkpoint(tmp_path, 3, {"alarm": first})
    second = alarm(trust)
    restore(tmp_path, {"alarm": second})
    for one in (first, second):
        one.judge(4, 0.4, BAD)
    assert second.sounded
    assert first.end() == second.end()


def run(
    dataset: Dataset, folder: Path, listener: Listener, **changes: object
) -> tuple[object, ...]:
    torch.manual_seed(0)
    actor, local = small_actor(), local_model()
    spec = policy_spec(steps=6, **changes)
    said = train_policy(spec, actor, global_model().eval(), local, dataset, listener, folder)
    return said, weights(nn.ModuleList([actor, local]))


def same(left: object, right: object) -> bool:
    assert isinstance(left, dict)
    assert isinstance(right, dict)
    return all(torch.equal(left[k], v) for k, v in right.items())


def test_watching_does_not_change_what_is_learned(dataset: Dataset, tmp_path: Path) -> None:
    listener = Listener()
    _, unwatched = run(dataset, tmp_path / "a", Listener(), alarm_every=0)
    _, watched = run(dataset, tmp_path / "b", listener, alarm_every=1)
    assert same(watched, unwatched)
    recorded = [v for _, v in listener.values if "policy/surprise" in v]
    assert len(recorded) == 6
    assert {f"policy/{name}" for name in GOOD} == recorded[0].keys()


def test_stop_ends_the_run_and_resuming_it_ends_it_alike(dataset: Dataset, tmp_path: Path) -> None:
    touchy = {"alarm_every": 2, "alarm_patience": 1, "alarm_surprise": 1e-6, "on_alarm": "stop"}
    whole, parts = Listener(), Listener(stop_after=3)
    said, expected = run(dataset, tmp_path / "whole", whole, **touchy)
    assert isinstance(said, dict)
    assert said["alarm"] is not None
    assert max(step for step, _ in whole.values) == said["alarm_rollout"]
    with pytest.raises(Cancelled):
        run(dataset, tmp_path / "parts", parts, **touchy)
    parts.stop_after = None
    again, found = run(dataset, tmp_path / "parts", parts, **touchy)
    assert again == said
    assert same(found, expected)
    assert parts.learned == whole.learned
