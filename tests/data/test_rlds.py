"""RLDS datasets: a sample that TensorFlow Datasets wrote, and damaged records."""

import struct
import zipfile
from contextlib import closing, suppress
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.dataset import Dataset
from core.data.episode import EpisodeError
from core.data.readers import LogError, detect, open_logs
from core.data.readers.tf_record import Value, parsed_example
from tests.data.makers import findings, ingest
from tests.data.rlds_sample import LENGTHS, SAMPLE, TASK, steps

SHARD = "push_rlds/1.0.0/push_rlds-train.tfrecord-00000-of-00001"


def changed(path: Path, change: bytes) -> Path:
    """The sample with another training shard."""
    with zipfile.ZipFile(SAMPLE) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = change if name == SHARD else old.read(name)
            new.writestr(name, data)
    return path


def shard() -> bytes:
    with zipfile.ZipFile(SAMPLE) as archive:
        return archive.read(SHARD)


def test_what_tensorflow_datasets_wrote_is_read_exactly(tmp_path: Path) -> None:
    out, result = ingest(tmp_path, lambda p: p.write_bytes(SAMPLE.read_bytes()), "rlds.zip")
    dataset = Dataset.open(out)
    assert (result["format"], result["episodes"]) == ("rlds", 5)
    assert dataset.meta.task == TASK
    assert findings(out, "error") == []
    assert sorted(e.length for e in dataset.episodes) == [*LENGTHS]
    for episode in dataset.episodes:
        n = LENGTHS.index(episode.length)
        rows = slice(episode.start, episode.start + episode.length)
        told = steps(n)
        frames = np.stack([s["observation"]["image"] for s in told])
        assert (dataset.frames[rows] == frames).all()
        for field, key in (("actions", "action"), ("reward", "reward")):
            values = np.stack([s[key] for s in told])[:-1]
            assert (dataset.fields()[field][rows][:-1] == values).all()
        assert dataset.state is not None
        assert (dataset.state[rows] == [s["observation"]["state"] for s in told]).all()
        assert dataset.terminated is not None
        ends = np.flatnonzero(dataset.terminated[rows])
        assert ends.tolist() == ([episode.length - 2] if n % 2 == 0 else [])


def test_pictures_of_plain_numbers_are_read_when_they_are_chosen() -> None:
    found = detect(SAMPLE)
    assert (found.format, found.layout, found.episodes) == ("rlds", "rlds", 5)
    assert [c.key for c in found.cameras] == ["observation/image", "observation/plain"]
    assert [c.dtype for c in found.cameras] == ["png", "uint8"]
    with closing(open_logs(SAMPLE, mapping={"image": "observation/plain"})) as reader:
        for ref in reader.episodes:
            with reader.open(ref) as fields:
                frames = fields["image"].read()
            told = steps(LENGTHS.index(len(frames)))
            assert (frames == [s["observation"]["plain"] for s in told]).all()


def test_a_cut_shard_keeps_its_whole_records(tmp_path: Path) -> None:
    path = changed(tmp_path / "a.zip", shard()[:-40])
    out, result = ingest(tmp_path, lambda p: p.write_bytes(path.read_bytes()), "rlds.zip")
    assert result["episodes"] == 4
    (error,) = findings(out, "error")
    assert (error["code"], error["file"]) == ("truncated", SHARD)
    assert "after 3 whole records" in error["message"]


def test_a_changed_byte_costs_its_episode_alone(tmp_path: Path) -> None:
    data = bytearray(shard())
    data[len(data) // 2] ^= 1
    path = changed(tmp_path / "a.zip", bytes(data))
    out, result = ingest(tmp_path, lambda p: p.write_bytes(path.read_bytes()), "rlds.zip")
    assert result["episodes"] == 4
    (error,) = findings(out, "error")
    assert error["code"] == "unreadable"
    assert "checksum" in error["message"]
    assert error["episode"] is not None


def test_shards_without_records_or_of_another_kind_say_what_to_do(tmp_path: Path) -> None:
    empty = tmp_path / "a.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("x-train.tfrecord-00000-of-00001", b"")
    with pytest.raises(LogError, match=r"holds no records; see docs/formats\.md#rlds"):
        open_logs(empty)
    other = tmp_path / "b.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("x-train.array_record-00000-of-00001", b"x")
    with pytest.raises(LogError, match="write them with file_format='tfrecord'"):
        open_logs(other)


def test_a_record_that_is_no_example_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path / "a.zip", record(b"\xff" * 40) + record(b""))
    with closing(open_logs(path)) as reader:
        for ref in reader.episodes[:2]:
            with pytest.raises(EpisodeError), reader.open(ref):
                pass


def record(data: bytes) -> bytes:
    """TFRecord's framing."""
    head = struct.pack("<Q", len(data))
    return head + masked(head) + data + masked(data)


def masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def varint(value: int) -> bytes:
    value %= 1 << 64
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def nested(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def example(features: dict[str, Value]) -> bytes:
    """tf.train.Example in wire format, numbers packed."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, list):
            feature = nested(1, b"".join(nested(1, one) for one in value))
        elif value.dtype.kind == "f":
            feature = nested(2, nested(1, value.astype("<f4").tobytes()))
        else:
            feature = nested(3, nested(1, b"".join(varint(int(v)) for v in value)))
        entries += nested(1, nested(1, name.encode()) + nested(2, feature))
    return nested(1, entries)


INTEGERS = st.lists(st.integers(-(2**63), 2**63 - 1)).map(lambda v: np.array(v, "<i8"))
FLOATS = st.lists(st.floats(width=32, allow_nan=False)).map(lambda v: np.array(v, "<f4"))
VALUES = st.one_of(INTEGERS, FLOATS, st.lists(st.binary(max_size=9)))


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_every_example_is_parsed_back(features: dict[str, Value]) -> None:
    found = parsed_example(example(features))
    assert found.keys() == features.keys()
    for name, value in features.items():
        if isinstance(value, list):
            assert found[name] == value
        else:
            assert np.array_equal(found[name], value)


@given(st.binary(max_size=60))
def test_other_bytes_are_parsed_or_refused_by_name(data: bytes) -> None:
    with suppress(ValueError):
        parsed_example(data)
