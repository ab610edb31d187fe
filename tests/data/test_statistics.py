"""Histograms and coverage against counting by hand."""

from pathlib import Path

import numpy as np
import pytest

from core.data.dataset import Dataset
from core.data.episode import Episode
from core.data.statistics import statistics
from core.data.writer import DatasetWriter
from tests.data.makers import episode


def written(path: Path, **changes: object) -> Dataset:
    with DatasetWriter(path) as writer:
        for n in range(5):
            writer.append(episode(n, 10 + n))
        return writer.finish(name="a", fps=10, action_kind="delta", **changes)  # type: ignore[arg-type]


def test_histograms_count_every_step_once_and_no_filling(tmp_path: Path) -> None:
    dataset = written(tmp_path)
    found = {h.name: h for h in statistics(dataset).histograms}
    assert list(found) == ["action 0", "action 1", "state 0", "state 1", "state 2", "reward"]
    actions = np.concatenate([episode(n, 10 + n).actions for n in range(5)])
    one = found["action 1"]
    assert (one.low, one.high) == (actions[:, 1].min(), actions[:, 1].max())
    counts, _ = np.histogram(actions[:, 1], 40)
    assert one.counts == tuple(counts.tolist())
    assert sum(found["state 0"].counts) == dataset.meta.num_frames


def test_coverage_is_the_share_of_cells_that_were_visited(tmp_path: Path) -> None:
    found = statistics(written(tmp_path)).coverage
    assert found is not None
    counts = np.array(found.counts)
    assert counts.shape == (24, 24)
    assert counts.sum() == sum(range(10, 15))
    assert found.visited == (counts > 0).mean()
    assert (found.x, found.y) == ("state 0", "state 1")


def test_columns_carry_the_names_of_the_logs(tmp_path: Path) -> None:
    dataset = written(tmp_path, names={"actions": ("vx", "vy")})
    assert [h.name for h in statistics(dataset).histograms][:2] == ["vx", "vy"]


@pytest.mark.parametrize("ends", [(0, 1e-45), (1, np.nextafter(np.float32(1), 2)), (-3e38, 3e38)])
def test_a_column_may_tremble_or_span_all_numbers(
    tmp_path: Path, ends: tuple[float, float]
) -> None:
    actions = np.array([ends] * 4, np.float32)
    actions[::2] = actions[::2, ::-1]
    with DatasetWriter(tmp_path) as writer:
        for n in range(2):
            writer.append(Episode(episode(n, 5).frames, actions))
        dataset = writer.finish(name="a", fps=10, action_kind="delta")
    found = statistics(dataset)
    assert [(h.counts[0], h.counts[-1]) for h in found.histograms] == [(4, 4), (4, 4)]
    assert found.coverage is not None
    assert sum(map(sum, found.coverage.counts)) == 8
