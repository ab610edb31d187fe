"""Datasets on disk: what goes in comes out."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.dataset import Dataset
from core.data.episode import Episode, EpisodeError
from core.data.writer import DatasetWriter, choose_split
from tests.data.makers import episode

lengths = st.lists(st.integers(2, 9), min_size=2, max_size=6)


def write(path: Path, episodes: list[Episode], seed: int = 0) -> Dataset:
    with DatasetWriter(path) as writer:
        for one in episodes:
            writer.append(one)
        return writer.finish(name="logs", fps=12.5, action_kind="delta", seed=seed)


@settings(max_examples=25, deadline=None)
@given(lengths=lengths, seed=st.integers(0, 99))
def test_episodes_survive_write_and_read(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], seed: int
) -> None:
    path = tmp_path_factory.mktemp("dataset")
    written = [episode(seed + i, n) for i, n in enumerate(lengths)]
    read = write(path, written, seed)

    assert read.meta == Dataset.open(path).meta
    assert [e.length for e in read.episodes] == lengths
    for info, one in zip(read.episodes, written, strict=True):
        rows, steps = (slice(info.start, info.start + info.length - i) for i in (0, 1))
        last = info.start + info.length - 1
        assert (read.frames[rows] == one.frames).all()
        assert (read.actions[steps] == one.actions).all()
        assert info.source == one.source
        for field in ("state", "reward", "terminated", "success"):
            stored, original = getattr(read, field), getattr(one, field)
            assert (stored[rows if len(original) == info.length else steps] == original).all()
        assert not read.actions[last].any()
        assert read.reward is not None
        assert read.reward[last] == 0


def test_fields_that_the_logs_lack_are_none(tmp_path: Path) -> None:
    bare = [Episode(e.frames, e.actions) for e in (episode(0), episode(1))]
    read = write(tmp_path, bare)
    assert read.state is None
    assert read.reward is None
    assert not read.meta.has_reward
    assert read.meta.state_dim is None
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "actions.f32",
        "dataset.json",
        "episodes.json",
        "frames.u8",
    ]


def test_statistics_are_those_of_the_training_steps(tmp_path: Path) -> None:
    read = write(tmp_path, [episode(i, 5 + i) for i in range(6)])
    steps = np.concatenate([read.actions[e.start : e.start + e.length - 1] for e in read.train])
    frames = np.concatenate([read.frames[e.start : e.start + e.length] for e in read.train])
    stats = read.meta.stats["actions"]
    np.testing.assert_allclose(stats.mean, steps.mean(0, dtype=np.float64))
    np.testing.assert_allclose(stats.std, steps.std(0, dtype=np.float64))
    assert list(stats.min) == steps.min(0).tolist()
    assert list(stats.max) == steps.max(0).tolist()
    np.testing.assert_allclose(read.meta.frame_mean, frames.mean((0, 1, 2)))
    np.testing.assert_allclose(read.meta.frame_std, frames.std((0, 1, 2)))


@given(n=st.integers(2, 300), fraction=st.floats(0.001, 0.999), seed=st.integers(0, 9))
def test_both_splits_have_episodes_and_the_seed_decides(n: int, fraction: float, seed: int) -> None:
    split = choose_split(n, fraction, seed)
    assert split == choose_split(n, fraction, seed)
    assert 1 <= split.count("validation") <= n - 1
    if 1 < fraction * n < n - 1:
        assert abs(split.count("validation") - fraction * n) <= 0.5


def test_other_seeds_hold_out_other_episodes() -> None:
    assert len({tuple(choose_split(50, 0.1, seed)) for seed in range(10)}) == 10


def test_one_episode_is_not_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        write(tmp_path, [episode(0)])
    with pytest.raises(ValueError, match="no dataset"):
        Dataset.open(tmp_path)


def test_an_unlike_episode_is_refused_by_field(tmp_path: Path) -> None:
    other = episode(1)
    with DatasetWriter(tmp_path) as writer:
        writer.append(episode(0))
        with pytest.raises(EpisodeError, match="reward: has no values"):
            writer.append(Episode(other.frames, other.actions, other.state))


def test_a_writer_that_did_not_finish_leaves_no_dataset(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path) as writer:
        writer.append(episode(0))
    with pytest.raises(ValueError, match="no dataset"):
        Dataset.open(tmp_path)


def test_a_cut_array_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, [episode(0), episode(1)])
    frames = tmp_path / "frames.u8"
    frames.write_bytes(frames.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"frames\.u8 .* bytes instead of"):
        Dataset.open(tmp_path)


def test_an_unknown_schema_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [episode(0), episode(1)])
    meta = json.loads((tmp_path / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps(meta | {"schema_version": 2}))
    with pytest.raises(ValueError, match="schema_version"):
        Dataset.open(tmp_path)
