"""MCAP files and ROS bags: written by the reference libraries, read by topic and time."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import CompressionType

from core.data.dataset import Dataset
from core.data.readers import detect, open_logs
from core.data.readers.bag import BagReader
from core.data.readers.base import LogError
from core.data.readers.files import open_files
from tests.data.bags import (
    IMAGE,
    Line,
    drive,
    json_mcap,
    pictures,
    ros1_bag,
    ros2_bag,
    ros2_mcap,
)
from tests.data.makers import findings, ingest, zipped

TWO = [*drive(0.0, 20, seed=0), *drive(10.0, 15, seed=1)]


def sqlite_zip(path: Path, lines: list[Line]) -> Path:
    return zipped(ros2_bag(path.with_name("bag"), lines), path, "bag/")


def mcap_zip(path: Path, lines: list[Line]) -> Path:
    return zipped(ros2_bag(path.with_name("bag"), lines, "MCAP"), path, "bag/")


def packed_mcap(path: Path, lines: list[Line]) -> Path:
    return ros2_mcap(path, [*drive(0.0, 20, 0, packed=True), *drive(10.0, 15, 1, packed=True)])


WRITERS: dict[str, tuple[str, Callable[[Path, list[Line]], Path]]] = {
    "mcap": ("logs.mcap", ros2_mcap),
    "mcap with PNG pictures": ("logs.mcap", packed_mcap),
    "mcap with lz4": ("logs.mcap", lambda p, n: ros2_mcap(p, n, compression=CompressionType.LZ4)),
    "mcap without chunks": ("logs.mcap", lambda p, n: ros2_mcap(p, n, use_chunking=False)),
    "ROS 1 bag": ("logs.bag", ros1_bag),
    "ROS 1 bag with bz2": ("logs.bag", lambda p, n: ros1_bag(p, n, "BZ2")),
    "ROS 1 bag with lz4": ("logs.bag", lambda p, n: ros1_bag(p, n, "LZ4")),
    "ROS 2 bag in sqlite": ("logs.zip", sqlite_zip),
    "ROS 2 bag in mcap": ("logs.zip", mcap_zip),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_bag_becomes_episodes_between_its_silences(tmp_path: Path, kind: str) -> None:
    name, write = WRITERS[kind]
    out, result = ingest(tmp_path, lambda p: write(p, TWO), name)
    dataset = Dataset.open(out)
    assert result["format"] == "bag"
    assert result["fps"] == 10.0
    assert [e.length for e in dataset.episodes] == [20, 15]
    for seed, episode in enumerate(dataset.episodes):
        rows = slice(episode.start, episode.start + episode.length)
        assert (dataset.frames[rows] == pictures(seed, episode.length)).all()
        seconds = 10.0 * seed + np.arange(episode.length) / 10
        assert dataset.state is not None
        np.testing.assert_allclose(dataset.state[rows, 0], seconds, rtol=1e-6)
        np.testing.assert_allclose(dataset.state[rows, 1], 2 * seconds, rtol=1e-6)
        np.testing.assert_allclose(dataset.actions[rows][:-1, 0], seconds[:-1], rtol=1e-6)
        np.testing.assert_allclose(dataset.actions[rows][:-1, 5], -seconds[:-1], rtol=1e-6)
    assert dataset.meta.units["actions"] == "m/s and rad/s (REP 103)"
    assert [f["code"] for f in findings(out)] == ["constant_column"]


def test_detection_lists_topics_and_what_would_be_read(tmp_path: Path) -> None:
    found = detect(ros2_mcap(tmp_path / "a.mcap", TWO))
    assert (found.format, found.episodes, found.problem) == ("bag", 2, "")
    assert found.fields == {
        "image": "/camera",
        "action": "/cmd_vel",
        "state": "/joint_states.position",
    }
    keys = {c.key: c.names for c in found.columns}
    assert keys["/cmd_vel.linear"] == ("linear.x", "linear.y", "linear.z")
    assert [(c.key, c.shape, c.dtype) for c in found.cameras] == [("/camera", (16, 16, 3), "rgb8")]


def test_a_mapping_picks_parts_of_topics(tmp_path: Path) -> None:
    mapping = {"action": "/cmd_vel.linear.x, /cmd_vel.angular.z", "state": "/cmd_vel.linear.x"}
    out, result = ingest(
        tmp_path, lambda p: ros2_mcap(p, TWO), "a.mcap", mapping=mapping, units={"actions": "m/s"}
    )
    assert (result["action_dim"], result["state_dim"]) == (2, 1)
    assert findings(out) == []


@pytest.mark.parametrize(
    ("method", "value"), [("hold", 0.18), ("nearest", 0.2), ("interpolate", 0.199)]
)
def test_values_between_two_messages_are_looked_up_as_asked(
    tmp_path: Path, method: str, value: float
) -> None:
    lines = [
        replace(line, seconds=line.seconds - 0.001) if line.topic == "/camera" else line
        for line in (*drive(1.0, 20, seed=0), *drive(11.0, 20, seed=1))
    ]
    out, _ = ingest(tmp_path, lambda p: ros2_mcap(p, lines), "a.mcap", resample=method)
    dataset = Dataset.open(out)
    assert dataset.state is not None
    assert dataset.state[2, 0] == pytest.approx(1 + value)


def test_a_target_rate_samples_every_topic_by_its_own_clock(tmp_path: Path) -> None:
    out, result = ingest(tmp_path, lambda p: ros2_mcap(p, TWO), "a.mcap", target_fps=25)
    dataset = Dataset.open(out)
    assert result["fps"] == 25.0
    assert [e.length for e in dataset.episodes] == [48, 36]
    ticks = np.arange(47) / 25
    held = np.floor(ticks * 20 + 1e-6) / 20
    np.testing.assert_allclose(dataset.actions[:47, 0], held, atol=1e-6)
    assert (dataset.frames[:48] == pictures(0)[(np.arange(48) / 2.5 + 1e-6).astype(int)]).all()


def test_episodes_may_start_at_messages_of_a_topic(tmp_path: Path) -> None:
    lines = drive(0.0, 40)
    marks = [
        Line("/start", "geometry_msgs/msg/Twist", s, {"linear": 1.0, "angular": 0.0})
        for s in (0.95, 2.45)
    ]
    lines = sorted(lines + marks, key=lambda line: line.seconds)
    out, _ = ingest(tmp_path, lambda p: ros2_mcap(p, lines), "a.mcap", episode_topic="/start")
    assert [e.length for e in Dataset.open(out).episodes] == [10, 15, 15]
    with pytest.raises(LogError, match=r"no topic is called '/begin': choose from \['/camera'"):
        ingest(tmp_path, lambda p: ros2_mcap(p, lines), "a.mcap", episode_topic="/begin")


def test_json_messages_are_read_where_pictures_come_from_ros(tmp_path: Path) -> None:
    topics = [
        ("/arm", i / 10, {"joints": [i, -i], "gripper": {"open": i % 2 == 0}}) for i in range(20)
    ]
    path = json_mcap(tmp_path / "a.mcap", topics)
    with closing(BagReader(path, open_files(path, path.name), {})) as reader:
        keys = {c.key: c.shape for c in reader.columns}
        assert keys == {
            "/arm": (3,),
            "/arm.joints": (2,),
            "/arm.gripper": (1,),
            "/arm.gripper.open": (1,),
        }


def test_a_cut_file_is_used_up_to_the_cut(tmp_path: Path) -> None:
    whole = ros2_mcap(tmp_path / "whole.mcap", [*TWO, *drive(20.0, 20, seed=2)]).read_bytes()
    out, result = ingest(tmp_path, lambda p: p.write_bytes(whole[: len(whole) * 2 // 3]), "a.mcap")
    assert result["episodes"] == 2
    cut = next(f for f in findings(out) if f["code"] == "truncated")
    assert (cut["file"], cut["severity"]) == ("a.mcap", "warning")
    assert "mcap recover" in cut["fix"]


def test_a_bag_without_an_index_says_what_to_run(tmp_path: Path) -> None:
    whole = ros1_bag(tmp_path / "whole.bag", TWO).read_bytes()
    with pytest.raises(
        LogError, match=r"a\.bag: no topic can be read: .*is not a whole bag .*rosbag reindex"
    ):
        ingest(tmp_path, lambda p: p.write_bytes(whole[: len(whole) // 2]), "a.bag")


def test_a_broken_file_among_good_ones_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "bags"
    folder.mkdir()
    ros2_mcap(folder / "a.mcap", TWO)
    ros2_mcap(folder / "b.mcap", drive(0.0, 9, seed=5))
    (folder / "c.bag").write_bytes(b"#ROSBAG V2.0\n" + bytes(99))
    out, result = ingest(tmp_path, lambda p: zipped(folder, p))
    assert result["episodes"] == 3
    assert ("c.bag", "error") in {(f["file"], f["severity"]) for f in findings(out)}
    with pytest.raises(ValueError, match=r"c\.bag.*Nothing was stored"):
        ingest(tmp_path, lambda p: zipped(folder, p), bad_episodes="fail")


def test_a_silent_topic_is_reported_at_its_frame(tmp_path: Path) -> None:
    lines = [m for m in TWO if m.topic != "/cmd_vel" or not 0.5 < m.seconds < 1.4]
    out, _ = ingest(tmp_path, lambda p: ros2_mcap(p, lines), "a.mcap")
    silent = [f for f in findings(out) if f["code"] == "clock_skew"]
    assert [(f["episode"], f["frame"]) for f in silent] == [(0, 13)]
    assert "0.80 s away" in silent[0]["message"]
    told = [f for f in findings(out, "info") if f["code"] == "clock_skew"]
    assert [f["message"].split(":")[0] for f in told] == ["action", "state"]


def test_stamps_that_differ_from_the_writers_clock_are_reported(tmp_path: Path) -> None:
    lines = [replace(m, stamp=m.seconds - 0.3) if m.topic == "/camera" else m for m in TWO]
    out, _ = ingest(tmp_path, lambda p: ros2_mcap(p, lines), "a.mcap")
    late = next(f for f in findings(out) if f["code"] == "clock_skew")
    assert "/camera" in late["message"]
    assert "300 ms at message" in late["message"]


def test_the_header_clock_moves_pictures_to_when_they_were_taken(tmp_path: Path) -> None:
    lines = [
        replace(m, seconds=m.seconds + 0.3, stamp=m.seconds) if m.topic == "/camera" else m
        for m in TWO
    ]
    out, _ = ingest(tmp_path, lambda p: ros2_mcap(p, lines), "a.mcap", bag_clock="header")
    dataset = Dataset.open(out)
    assert dataset.state is not None
    np.testing.assert_allclose(dataset.state[:20, 0], np.arange(20) / 10, atol=1e-6)


@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("bgr8", [2, 1, 0]), ("rgba8", [0, 1, 2]), ("bgra8", [2, 1, 0]), ("mono8", [0, 0, 0])],
)
def test_raw_pictures_of_other_encodings(
    tmp_path: Path, encoding: str, channels: list[int]
) -> None:
    depth = {"bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}[encoding]
    rng = np.random.default_rng(0)
    logged = rng.integers(0, 256, (20, 16, 16, depth), dtype=np.uint8)
    shots = iter(logged)
    lines = [
        replace(m, fields={"picture": next(shots), "encoding": encoding}) if m.type == IMAGE else m
        for m in drive(0.0, 20)
    ]
    with (
        closing(open_logs(ros2_mcap(tmp_path / "a.mcap", lines))) as reader,
        reader.open(reader.episodes[0]) as fields,
    ):
        assert (fields["image"].read() == logged[..., channels]).all()


def test_a_type_that_the_bag_does_not_describe_is_left_out(tmp_path: Path) -> None:
    path = ros2_mcap(tmp_path / "a.mcap", TWO, compression=CompressionType.NONE)
    path.write_bytes(path.read_bytes().replace(b"ros2msg", b"flatbuf"))
    with pytest.raises(
        LogError, match="no topic can be read: topic /camera is left out: messages are cdr with"
    ):
        open_logs(path)


def test_random_damage_never_raises_anything_but_value_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = drive(0.0, 6)
    folder = ros2_bag(tmp_path / "ros2", lines)
    wholes = [
        ros2_mcap(tmp_path / "a.mcap", lines).read_bytes(),
        ros2_mcap(tmp_path / "b.mcap", lines, use_chunking=False).read_bytes(),
        ros1_bag(tmp_path / "a.bag", lines).read_bytes(),
        next(folder.glob("*.db3")).read_bytes(),
    ]
    refused = 0
    for whole in wholes:
        for _ in range(60):
            data = bytearray(whole)
            for at in rng.integers(len(data), size=rng.integers(1, 12)):
                data[at] = rng.integers(256)
            cut = len(data) if rng.random() < 0.6 else int(rng.integers(len(data)))
            (tmp_path / "data").write_bytes(data[:cut])
            try:
                reader = open_logs(tmp_path / "data")
            except ValueError:
                refused += 1
                continue
            for ref in reader.episodes:
                try:
                    with reader.open(ref) as fields:
                        for rows in fields.values():
                            rows.read()
                except ValueError:
                    refused += 1
            reader.close()
    assert refused > 60
