"""Windows of consecutive frames."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.dataset import Dataset
from core.data.episode import Episode
from core.data.windows import Windows
from core.data.writer import DatasetWriter


def numbered(path: Path, lengths: list[int]) -> Dataset:
    """Frames and actions that carry the number of their row and of their episode."""
    start = 0
    with DatasetWriter(path) as writer:
        for i, n in enumerate(lengths):
            rows = np.arange(start, start + n)
            frames = np.zeros((n, 8, 8, 3), np.uint8)
            frames[:, 0, 0, 0], frames[:, 0, 0, 1] = i, rows
            writer.append(Episode(frames, rows[:-1, None], state=rows[:, None]))
            start += n
        return writer.finish(name="rows", fps=10, action_kind="delta", validation_fraction=0.3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return numbered(tmp_path_factory.mktemp("rows"), [5, 9, 3, 12, 7, 4, 20, 6])


@settings(deadline=None)
@given(length=st.integers(1, 6), step=st.integers(0, 10**9), seed=st.integers(0, 2**31 - 1))
def test_no_window_crosses_an_episode(dataset: Dataset, length: int, step: int, seed: int) -> None:
    batch = Windows(dataset, "train", length, seed).batch(step, 16)
    episodes, rows = batch["frames"][:, :, 0, 0, 0], batch["frames"][:, :, 0, 0, 1]
    assert batch["frames"].shape == (16, length, 8, 8, 3)
    assert (episodes == episodes[:, :1]).all()
    assert (np.diff(rows.astype(int), axis=1) == 1).all()
    assert (batch["state"][..., 0] == rows).all()
    assert (batch["actions"][:, :-1, 0] == rows[:, :-1]).all()
    train = {i for i, e in enumerate(dataset.episodes) if e.split == "train"}
    assert set(episodes.ravel().tolist()) <= train


def test_the_liveliest_of_several_windows_is_kept(tmp_path: Path) -> None:
    frames = np.zeros((200, 8, 8, 3), np.uint8)
    frames[150:] = np.arange(50, dtype=np.uint8)[:, None, None, None]  # nothing moves before
    with DatasetWriter(tmp_path) as writer:
        for _ in range(2):
            writer.append(Episode(frames, np.zeros((199, 1), np.float32)))
        dataset = writer.finish(name="rare", fps=10, action_kind="delta", validation_fraction=0.5)
    windows = Windows(dataset, "train", 5)

    def moving(liveliest_of: int) -> float:
        drawn = windows.batch(3, 400, liveliest_of)["frames"]
        assert drawn.shape == (400, 5, 8, 8, 3)
        return float((drawn[:, -1] > drawn[:, 0]).any((1, 2, 3)).mean())

    share = 49 / 196  # windows in which something moves
    assert abs(moving(1) - share) < 0.08
    assert abs(moving(4) - (1 - (1 - share) ** 4)) < 0.08


def test_a_batch_depends_on_seed_and_step_only(dataset: Dataset) -> None:
    first, again = (Windows(dataset, "train", 3, seed=1) for _ in range(2))
    for step in (0, 7):
        first.batch(3, 5)
        assert (first.batch(step, 8)["state"] == again.batch(step, 8)["state"]).all()
    assert (first.batch(0, 8)["state"] != first.batch(1, 8)["state"]).any()
    other = Windows(dataset, "train", 3, seed=2)
    assert (first.batch(0, 8)["state"] != other.batch(0, 8)["state"]).any()


def test_every_window_is_drawn_equally_often(dataset: Dataset) -> None:
    windows = Windows(dataset, "train", 3)
    drawn = np.concatenate([windows.batch(i, 500)["state"][:, 0, 0] for i in range(40)])
    rows, counts = np.unique(drawn, return_counts=True)
    assert rows.tolist() == windows.starts().tolist()
    expected = 20_000 / len(windows)
    # Six standard deviations of a count that is Poisson to good approximation.
    assert (np.abs(counts - expected) < 6 * np.sqrt(expected)).all()


def test_all_windows_in_order_are_those_of_a_plain_loop(dataset: Dataset) -> None:
    windows = Windows(dataset, "validation", 3)
    expected = [
        row for e in dataset.validation for row in range(e.start, e.start + e.length - 3 + 1)
    ]
    assert windows.starts().tolist() == expected
    seen = np.concatenate([b["state"][:, 0, 0] for b in windows.in_order(4)])
    assert seen.tolist() == expected
    every_third = np.concatenate([b["state"][:, 0, 0] for b in windows.in_order(4, stride=3)])
    assert every_third.tolist() == expected[::3]


def test_windows_longer_than_every_episode_are_refused(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="window of 50 frames: the longest of"):
        Windows(dataset, "train", 50)
