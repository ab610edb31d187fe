"""A dataset that is exported as LeRobot v3.0 and read again is the same dataset."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from core.data.dataset import Dataset
from core.data.export_lerobot import export_dataset
from core.data.lerobot_layout import Column, Layout, Pictures
from core.data.lerobot_writer import LeRobotWriter
from core.data.readers import detect, open_logs
from core.data.writer import DatasetWriter
from tests.data.lerobot_makers import coded, numbers_of
from tests.data.makers import episode, findings, ingest, zipped

LENGTHS = (9, 14, 5, 11)
NAMES = {"actions": ("x", "y"), "state": ("a", "b", "c")}


def dataset_of(
    path: Path, action_kind: Any = "absolute", fps: float = 10, **fields: Any
) -> Dataset:
    """Smooth pictures that spell their number, and every field."""
    first = 1
    with DatasetWriter(path) as writer:
        for n, length in enumerate(LENGTHS):
            made = episode(n, length, 32)
            object.__setattr__(made, "frames", np.stack([coded(first + i) for i in range(length)]))
            for field, value in fields.items():
                object.__setattr__(made, field, value)
            writer.append(made)
            first += length
        return writer.finish(
            name="logs",
            fps=fps,
            action_kind=action_kind,
            task="push the block",
            units={"actions": "px"},
            names=NAMES,
        )


def exported(dataset: Dataset, root: Path, pictures: Pictures = "h264") -> Path:
    told: list[tuple[int, int]] = []
    export_dataset(dataset, root, pictures, lambda done, total: told.append((done, total)))
    assert told == [(n, 4) for n in (1, 2, 3, 4)]
    return root


@pytest.mark.parametrize("pictures", ["h264", "av1"])
def test_an_episode_can_be_cut_out_of_its_video(tmp_path: Path, pictures: Pictures) -> None:
    """Each begins with a key frame, and no frame waits for a later one: Rerun needs both."""
    root = exported(dataset_of(tmp_path / "a"), tmp_path / "export", pictures)
    (path,) = (root / "videos").rglob("*.mp4")
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    assert len(packets) == sum(LENGTHS)
    assert all(p.pts == p.dts for p in packets)
    firsts = np.cumsum([0, *LENGTHS[:-1]])
    assert all(packets[first].is_keyframe for first in firsts)


@pytest.mark.parametrize(("pictures", "bound"), [("png", 0), ("h264", 2.5), ("av1", 2.5)])
def test_an_export_read_again_is_the_same(tmp_path: Path, pictures: Pictures, bound: float) -> None:
    dataset = dataset_of(tmp_path / "a")
    root = exported(dataset, tmp_path / "export", pictures)
    out, result = ingest(tmp_path, lambda p: zipped(root, p, "logs/"))
    again = Dataset.open(out)
    assert result["episodes"] == 4
    assert not [f for f in findings(out) if f["severity"] == "error"]
    for field in ("actions", "state", "reward", "terminated", "success"):
        assert (again.fields()[field] == dataset.fields()[field]).all(), field
    assert numbers_of(again.frames) == list(range(1, sum(LENGTHS) + 1))
    assert np.abs(again.frames.astype(int) - dataset.frames).mean() <= bound
    for one, other in zip(again.episodes, dataset.episodes, strict=True):
        assert (one.start, one.length) == (other.start, other.length)
    for name in ("fps", "action_kind", "task", "names"):
        assert getattr(again.meta, name) == getattr(dataset.meta, name)
    assert again.meta.units["actions"] == "px"


@pytest.mark.parametrize(("kind", "last"), [("absolute", -2), ("delta", None)])
def test_the_last_action_is_one_that_stands_still(
    tmp_path: Path, kind: str, last: int | None
) -> None:
    dataset = dataset_of(tmp_path / "a", kind)
    root = exported(dataset, tmp_path / "export", "png")
    actions = pq.read_table(root / "data/chunk-000/file-000.parquet")["action"].to_pylist()
    expected = [0.0, 0.0] if last is None else dataset.actions[LENGTHS[0] + last].tolist()
    assert actions[LENGTHS[0] - 1] == expected


def test_labels_that_other_tools_know_are_about_the_next_frame(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "a")
    root = exported(dataset, tmp_path / "export", "png")
    table = pq.read_table(root / "data/chunk-000/file-000.parquet")
    assert dataset.success is not None
    first = dataset.success[: LENGTHS[0]].astype(bool).tolist()
    assert table["next.success"].to_pylist()[: LENGTHS[0]] == [*first[1:], first[-1]]
    done = table["next.done"].to_pylist()
    assert all(done[n - 1] for n in np.cumsum(LENGTHS))


def test_fields_that_a_dataset_lacks_are_not_written(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "a", state=None, reward=None, success=None, terminated=None)
    root = exported(dataset, tmp_path / "export")
    info = json.loads((root / "meta/info.json").read_text())
    assert list(info["features"]) == [
        "observation.image",
        "action",
        "next.done",
        "timestamp",
        "frame_index",
        "episode_index",
        "index",
        "task_index",
    ]
    assert detect(root).episodes == 4


def test_the_whole_is_described_as_the_format_asks(tmp_path: Path) -> None:
    root = exported(dataset_of(tmp_path / "a"), tmp_path / "export")
    info = json.loads((root / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["fps"], type(info["fps"])) == (10, int)
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (4, 39, 1)
    assert info["splits"] == {"train": "0:4"}
    assert info["features"]["action"] == {"dtype": "float32", "shape": [2], "names": ["x", "y"]}
    assert info["features"]["observation.image"]["info"]["video.codec"] == "h264"
    tasks = pq.read_table(root / "meta/tasks.parquet").to_pandas()
    assert tasks.loc["push the block"].task_index == 0
    episodes = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [e["length"] for e in episodes] == list(LENGTHS)
    assert [e["dataset_from_index"] for e in episodes] == [0, 9, 23, 28]
    assert episodes[1]["videos/observation.image/from_timestamp"] == 0.9
    assert episodes[1]["tasks"] == ["push the block"]
    rows = pq.read_table(root / "data/chunk-000/file-000.parquet")
    assert rows["index"].to_pylist() == list(range(39))
    assert rows["timestamp"].to_pylist()[9:11] == [0, np.float32(0.1)]


def test_statistics_are_those_of_all_rows(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "a")
    stats = json.loads((exported(dataset, tmp_path / "b") / "meta/stats.json").read_text())
    state = dataset.fields()["state"].astype(np.float64)
    for name, value in (("mean", state.mean(0)), ("std", state.std(0)), ("max", state.max(0))):
        assert np.allclose(stats["observation.state"][name], value)
    assert stats["observation.state"]["count"] == [39]
    assert np.allclose(
        np.ravel(stats["observation.image"]["mean"]), dataset.frames.mean((0, 1, 2)) / 255
    )
    assert np.shape(stats["observation.image"]["std"]) == (3, 1, 1)


def lengths_of_videos(root: Path) -> list[int]:
    found = []
    for path in sorted(root.rglob("*.mp4")):
        with av.open(str(path)) as container:
            found.append(sum(1 for _ in container.decode(video=0)))
    return found


@pytest.mark.parametrize("pictures", ["png", "h264"])
def test_files_that_are_full_are_followed_by_others(tmp_path: Path, pictures: Pictures) -> None:
    columns = {"action": Column("float32", 2)}
    layout = Layout(10, {"a": (32, 32), "b": (32, 32)}, columns, pictures)
    rng = np.random.default_rng(0)
    with LeRobotWriter(tmp_path / "set", layout, megabytes=(0, 0)) as writer:
        for n, length in enumerate(LENGTHS):
            frames = {c: np.stack([coded(100 * n + i) for i in range(length)]) for c in "ab"}
            writer.append(frames, {"action": rng.normal(size=(length, 2))}, f"task {n % 2}")
        writer.finish()
    assert len(list((tmp_path / "set/data").rglob("*.parquet"))) > 1
    if pictures == "h264":
        assert lengths_of_videos(tmp_path / "set") == [*LENGTHS] * 2
    assert_numbers(tmp_path / "set", [100 * n + i for n in range(4) for i in range(LENGTHS[n])])
    found = detect(tmp_path / "set", mapping={"image": "b"})
    assert (found.episodes, found.task, found.problem) == (4, None, "")


def assert_numbers(root: Path, expected: Sequence[int]) -> None:
    seen: list[int] = []
    with closing(open_logs(root, mapping={"image": "b"})) as reader:
        for ref in reader.episodes:
            with reader.open(ref) as fields:
                seen += numbers_of(fields["image"].read())
    assert seen == list(expected)


def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "a")
    one, two = (exported(dataset, tmp_path / n) for n in ("b", "c"))
    for path in sorted(p for p in one.rglob("*") if p.is_file()):
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes(), path.name


def test_episodes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    layout = Layout(10, {"a": (32, 32)}, {"action": Column("float32", 2)}, "h264")
    frames = np.zeros((3, 32, 32, 3), np.uint8)
    with LeRobotWriter(tmp_path / "set", layout) as writer:
        with pytest.raises(ValueError, match="there are no episodes"):
            writer.finish()
        with pytest.raises(ValueError, match="has not 3 rows"):
            writer.append({"a": frames}, {"action": np.zeros((2, 2))}, "task")
        with pytest.raises(ValueError, match="not what was announced"):
            writer.append({"b": frames}, {"action": np.zeros((3, 2))}, "task")
    assert not (tmp_path / "set/meta/info.json").exists()
