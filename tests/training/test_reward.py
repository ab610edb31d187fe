"""Reward models: closed forms, what they learn in worlds whose order is known, what they refuse."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.data.dataset import Dataset
from core.evaluation.rewards import reward_report, rewards_at
from core.global_model.model import GlobalConfig, GlobalModel
from core.global_model.reward import LoggedReward
from core.jobs.rewards import GoalFrame, RewardKind
from core.recorder import NullRecorder
from core.training.feed import Waits
from core.training.labels import labelled
from core.training.ranking import Passages, bradley_terry_loss, ranking_loss
from core.training.reward import regression, train_reward
from core.training.reward_data import check_reward, goal_rows, picked_goals, success_ahead
from tests.training.makers import bar_dataset, global_spec, passing_bar_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return passing_bar_dataset(tmp_path_factory.mktemp("passing") / "v1", episodes=24)


def model(kind: RewardKind = "logged", num_goals: int = 0) -> GlobalModel:
    torch.manual_seed(0)
    config = GlobalConfig(16, 1, 2, 4, (32, 32), 1, 10.0, 1)
    return GlobalModel(dataclasses.replace(config, reward=kind, num_goals=num_goals))


# --- Ranking


def test_loss_of_two_frames_is_its_closed_form() -> None:
    scores = torch.tensor([[0.3, 1.1]])
    expected = -np.log(1 / (1 + np.exp(-(1.1 - 0.3))))
    assert bradley_terry_loss(scores).item() == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=6))
def test_loss_is_the_mean_over_all_pairs_and_does_not_see_a_shift(scores: list[float]) -> None:
    x = torch.tensor([scores], dtype=torch.float64)
    pairs = [np.log1p(np.exp(a - b)) for i, a in enumerate(scores) for b in scores[i + 1 :]]
    assert bradley_terry_loss(x).item() == pytest.approx(np.mean(pairs))
    assert bradley_terry_loss(x + 3).item() == pytest.approx(np.mean(pairs))


def test_swapping_two_frames_turns_the_gradient_round() -> None:
    """P(j above i) = 1 - P(i above j): at equal scores the two losses pull in opposite ways."""
    scores = torch.zeros(1, 2, requires_grad=True)
    (forth,) = torch.autograd.grad(bradley_terry_loss(scores), scores)
    (back,) = torch.autograd.grad(bradley_terry_loss(scores.flip(1)), scores)
    assert torch.equal(forth, -back)
    x = torch.tensor([[0.2, 1.7]])
    difference = bradley_terry_loss(x.flip(1)) - bradley_terry_loss(x)
    assert difference.item() == pytest.approx(1.5, rel=1e-6)


@given(st.integers(6, 60), st.integers(0, 10**6))
def test_passages_are_in_order_and_stay_in_their_episode(horizon: int, step: int) -> None:
    starts, lengths = np.array([0, 30, 36]), np.array([30, 6, 50])
    rows = Passages(starts, lengths, horizon, 4, seed=1).batch(step, 64)
    episode = np.searchsorted(starts, rows[:, 0], side="right") - 1
    spans = rows[:, -1] - rows[:, 0]
    assert rows.shape == (64, 6)
    assert (np.diff(rows) > 0).all()
    assert (rows[:, 1] - rows[:, 0] >= spans // 10).all()
    assert (rows[:, -1] - rows[:, -2] >= spans // 10).all()
    assert (spans <= horizon).all()
    assert (rows[:, -1] < starts[episode] + lengths[episode]).all()


def test_every_place_and_span_is_drawn_short_spans_as_often_as_long_ones() -> None:
    passages = Passages(np.array([5]), np.array([100]), 80, 4, seed=0)
    rows = np.concatenate([passages.batch(step, 64) for step in range(40)])
    spans = rows[:, -1] - rows[:, 0]
    assert set(rows.ravel()) == set(range(5, 105))
    assert set(spans) == set(range(5, 81))
    assert np.mean(spans < 20) == pytest.approx(0.5, abs=0.05)  # 20: mean of 5 and 80 in logs


def test_reversed_passage_with_its_ends_swapped_costs_the_same() -> None:
    embedded = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ranking_loss(embedded), ranking_loss(embedded.flip(1)))


def test_order_of_a_known_world_is_learned_without_labels(dataset: Dataset, tmp_path: Path) -> None:
    """Bars pass from left to right; the frames at the right end are the goal."""
    blind = dataclasses.replace(dataset, reward=None, success=None, state=None, terminated=None)
    goals = tuple(GoalFrame(episode=n) for n in range(4))
    spec = global_spec(reward="ranking", goals=goals, goal_horizon=12, reward_steps=60)
    ranked = model("ranking", len(goals))
    train_reward(spec, ranked, blind, NullRecorder(), tmp_path)
    found = reward_report(ranked.reward, dataset)
    assert found["reward_vs_logged"] > 0.95
    assert found["reward_vs_time_per_episode"] > 0.95
    low, high = found["reward_vs_logged_interval"]
    assert low <= found["reward_vs_logged"] <= high


# --- Logged


def test_the_changes_of_a_logged_reward_weigh_what_was_asked(dataset: Dataset) -> None:
    """All parts but the changes' are the same, and an offset is none of the changes' business."""

    def loss(weight: float, offset: float = 0.0) -> float:
        reward = model().reward
        assert isinstance(reward, LoggedReward)
        reward.head[-1].bias.data[0] += offset
        loss_at = regression(global_spec(reward_change_weight=weight), reward, dataset, Waits())
        return loss_at(0).item()

    none, one, three = loss(0.0), loss(1.0), loss(3.0)
    assert one > none
    assert three - none == pytest.approx(3 * (one - none), rel=1e-4)
    assert loss(3.0, offset=0.5) - three == pytest.approx(loss(0.0, offset=0.5) - none, rel=1e-3)


# --- Success


def test_frames_with_success_score_higher_and_earn_the_bonus(
    dataset: Dataset, tmp_path: Path
) -> None:
    rewarded = model("success")
    train_reward(
        global_spec(reward="success", reward_steps=40), rewarded, dataset, NullRecorder(), tmp_path
    )
    assert dataset.success is not None
    rows = np.concatenate([np.arange(e.start + 1, e.start + e.length) for e in dataset.validation])
    labels, scores = dataset.success[rows] > 0, rewards_at(rewarded.reward, dataset, rows)
    assert scores[labels].min() > scores[~labels].max()
    bonus = rewarded.reward.std * rewarded.reward.BONUS  # type: ignore[operator]
    with torch.no_grad():
        frames = torch.rand(64, 3, 16, 16) * 2 - 1
        plain = rewarded.reward.score(frames)  # type: ignore[operator]
        success = rewarded.reward.logits(frames)[1]  # type: ignore[operator]
        earned = rewarded.reward.reward(frames, torch.zeros(64, 1)) - plain
    torch.testing.assert_close(earned, bonus * (success > 0), atol=1e-5, rtol=0)


def test_success_ahead_falls_by_the_discount_with_every_step(dataset: Dataset) -> None:
    assert dataset.success is not None
    found = success_ahead(dataset, 0.9)
    for e in dataset.episodes:
        labels = dataset.success[e.start : e.start + e.length]
        for t in range(e.length):
            later = np.flatnonzero(labels[t:])
            expected = 0.9 ** later[0] if len(later) else 0.0
            assert found[e.start + t] == pytest.approx(expected, rel=1e-5)
    assert np.array_equal(success_ahead(dataset, 0.0), dataset.success.astype(np.float32))


# --- What is refused


def test_what_a_dataset_lacks_is_said_with_a_way_out(dataset: Dataset) -> None:
    bare = dataclasses.replace(dataset, reward=None, success=None)
    with pytest.raises(ValueError, match="no rewards: log them, or choose"):
        check_reward(global_spec(), bare)
    with pytest.raises(ValueError, match="no success labels: log"):
        check_reward(global_spec(reward="success"), bare)
    for value, word in ((0, "lacks"), (1, "shows")):
        same = dataclasses.replace(dataset, success=np.full(len(dataset.frames), value, np.uint8))
        with pytest.raises(ValueError, match=f"{word} success, so there is nothing to tell apart"):
            check_reward(global_spec(reward="success"), same)


@pytest.mark.parametrize(
    ("goal", "message"),
    [("24:0", "its episodes are 0 to 23"), ("3:16", "frames 0 to 15"), ("3:-17", "-1 to -16")],
)
def test_goals_outside_the_dataset_are_refused(dataset: Dataset, goal: str, message: str) -> None:
    spec = global_spec(reward="ranking", goals=(goal,))
    with pytest.raises(ValueError, match=message):
        check_reward(spec, dataset)


def test_goal_frames_count_from_either_end(dataset: Dataset) -> None:
    goals = (GoalFrame(episode=2, frame=0), GoalFrame(episode=2, frame=-1), GoalFrame(episode=0))
    start = dataset.episodes[2].start
    assert goal_rows(dataset, goals).tolist() == [start, start + 15, 15]


def test_picked_goals_show_success_in_training_episodes(dataset: Dataset) -> None:
    goals = picked_goals(dataset, 5)
    assert dataset.success is not None
    assert len(set(goals)) == 5
    assert all(dataset.episodes[g.episode].split == "train" for g in goals)
    assert dataset.success[goal_rows(dataset, goals)].all()


def test_picked_goals_are_frames_of_highest_reward_where_success_is_rare(dataset: Dataset) -> None:
    assert dataset.reward is not None
    goals = picked_goals(dataclasses.replace(dataset, success=None), 4)
    assert len({g.episode for g in goals}) == 4
    earned = dataset.reward[goal_rows(dataset, goals) - 1]
    best = [dataset.reward[e.start : e.start + e.length].max() for e in dataset.train]
    assert sorted(earned) == sorted(best)[-4:]


def test_episodes_too_short_to_compare_are_refused(tmp_path: Path) -> None:
    short = bar_dataset(tmp_path / "v1", length=4)
    with pytest.raises(ValueError, match="log longer episodes"):
        Passages.of(short, horizon=8, frames=4, seed=0)


# --- Stored, and used as labels


@pytest.mark.parametrize(("kind", "goals"), [("logged", 0), ("success", 0), ("ranking", 3)])
def test_saved_reward_model_says_the_same(
    kind: RewardKind, goals: int, dataset: Dataset, tmp_path: Path
) -> None:
    kept = model(kind, goals)
    chosen = tuple(GoalFrame(episode=n) for n in range(goals))
    spec = global_spec(reward=kind, goals=chosen, reward_steps=2)
    train_reward(spec, kept, dataset, NullRecorder(), tmp_path / "steps")
    (tmp_path / "out").mkdir()
    kept.eval().save(tmp_path / "out")
    loaded = GlobalModel.load(tmp_path / "out")
    assert loaded.reward.kind == kind
    rows = np.arange(1, 9)
    first, again = (rewards_at(m.reward, dataset, rows) for m in (kept, loaded))
    assert np.array_equal(first, again)
    assert np.ptp(first) > 0


def test_a_config_from_before_there_were_reward_kinds_is_read(tmp_path: Path) -> None:
    model().save(tmp_path)
    text = (tmp_path / "config.json").read_text()
    old = text.replace(',\n  "reward": "logged"', "").replace(',\n  "num_goals": 0', "")
    assert "reward" not in old
    (tmp_path / "config.json").write_text(old)
    assert GlobalModel.load(tmp_path).reward.kind == "logged"


def test_labels_are_the_reward_models_own_words(dataset: Dataset) -> None:
    judge = model("success").eval()
    found = labelled(dataset, judge)
    assert found.reward is not None
    assert dataset.reward is not None
    for episode in dataset.episodes:
        arrived = np.arange(episode.start + 1, episode.start + episode.length)
        direct = rewards_at(judge.reward, dataset, arrived)
        np.testing.assert_allclose(found.reward[arrived - 1], direct, rtol=1e-5, atol=1e-6)
        assert found.reward[arrived[-1]] == 0
    assert labelled(dataset, model()) is dataset  # logs are the better label of logged rewards
