"""HDF5 logs of every layout, and HDF5 files that mean harm."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest

from core.data.conform import Conformer
from core.data.episode import Episode
from core.data.readers import LogError, detect, open_logs
from core.jobs.spec import IngestSpec
from tests.data.hdf5_makers import (
    aloha,
    dreamer_v4,
    encoded,
    hdf5_bytes,
    libero,
    minari_set,
    robomimic,
    stable_worldmodel,
)
from tests.data.makers import Arrays, findings, ingest, log, per_frame, zipped

SPEC = IngestSpec(upload="up_" + "0" * 32, name="logs")
STEPS = [log(i, length=5 + i) for i in range(12)]
ROWS = [per_frame(i, length=5 + i) for i in range(5)]


def read(path: Path, **options: Any) -> list[Episode]:
    conformer = Conformer(SPEC)
    with closing(open_logs(path, **options)) as reader:
        episodes = []
        for ref in reader.episodes:
            with reader.open(ref) as fields:
                episodes.append(conformer.episode(fields, ref.file))
        return episodes


def assert_same(found: list[Episode], logs: list[Arrays], bound: int = 0) -> None:
    for one, original in zip(found, logs, strict=True):
        wrong = np.abs(one.frames.astype(int) - original["image"])
        assert wrong.max() <= bound
        assert (one.actions == original["action"][: len(original["image"]) - 1]).all()


def test_robomimic_demos_are_read_in_order_with_their_last_frame(tmp_path: Path) -> None:
    path = robomimic(tmp_path / "demo.hdf5", STEPS, control_freq=20)
    found = read(path)
    assert_same(found, STEPS)
    for one, original in zip(found, STEPS, strict=True):
        state = original["state"]
        assert one.state is not None
        assert (one.state == np.hstack([state, state + 1, state[:, :1]])).all()
        assert one.reward is not None
        assert (one.reward == original["reward"]).all()
        assert one.terminated is not None
        assert (one.terminated == original["done"]).all()
    assert [e.source for e in found[:3]] == [f"demo.hdf5:data/demo_{i}" for i in range(3)]
    seen = detect(path)
    assert (seen.layout, seen.fps, seen.task) == ("hdf5 (robomimic)", 20, "Lift")
    assert seen.reasons["hdf5"] == "1 HDF5 file; group data has 12 demos with actions and obs"


@pytest.mark.parametrize(("is_delta", "kind"), [(True, "delta"), (False, "absolute")])
def test_the_controller_tells_the_kind_of_actions(
    tmp_path: Path, is_delta: bool, kind: str
) -> None:
    path = robomimic(tmp_path / "a.h5", STEPS[:2], controller_configs={"control_delta": is_delta})
    assert detect(path).action_kind == kind


def test_without_next_obs_the_last_action_is_dropped(tmp_path: Path) -> None:
    found = read(robomimic(tmp_path / "a.h5", STEPS, next_obs=False))
    assert [len(e) for e in found] == [len(one["action"]) for one in STEPS]


def test_the_state_of_the_simulator_is_read_when_it_is_chosen(tmp_path: Path) -> None:
    path = robomimic(tmp_path / "a.h5", STEPS)
    (one, *_) = read(path, mapping={"state": "states"})
    assert one.state is not None
    assert (one.state == STEPS[0]["state"][:-1]).all()


def test_libero_names_are_known_and_cameras_listed(tmp_path: Path) -> None:
    path = libero(tmp_path / "a.hdf5", ROWS)
    assert_same(read(path), ROWS)
    seen = detect(path)
    assert seen.fields["state"] == "obs/joint_states, obs/gripper_states"
    assert seen.task == "open the drawer"
    assert [c.key for c in seen.cameras] == ["obs/agentview_rgb", "obs/eye_in_hand_rgb"]
    assert "obs/eye_in_hand_rgb" in seen.notes[0]
    mirrored = read(path, mapping={"image": "obs/eye_in_hand_rgb"})
    assert (mirrored[0].frames[:, ::-1] == ROWS[0]["image"]).all()


def test_aloha_episodes_are_files(tmp_path: Path) -> None:
    found = read(aloha(tmp_path / "logs", ROWS))
    assert_same(found, ROWS)
    assert found[4].source == "episode_4.hdf5"
    assert found[0].state is not None
    assert (found[0].state == ROWS[0]["state"]).all()


@pytest.mark.parametrize(("packed", "bound"), [("png", 0), ("jpg", 12)])
def test_packed_pictures_are_unpacked(tmp_path: Path, packed: str, bound: int) -> None:
    smooth = [dict(one) for one in ROWS]
    for n, one in enumerate(smooth):
        shades = np.linspace(0, 100, 16)[None, None, :, None] + np.array([0, 40, 90])
        moving = shades + np.arange(len(one["image"]))[:, None, None, None] + 3 * n
        one["image"] = np.broadcast_to(moving, one["image"].shape).astype(np.uint8)
    folder = aloha(tmp_path / "logs", smooth, packed)
    assert_same(read(folder), smooth, bound)
    assert {c.dtype for c in detect(folder).cameras} == {"png" if packed == "png" else "jpeg"}


def test_dreamer_v4_padding_is_left_out(tmp_path: Path) -> None:
    folder = dreamer_v4(tmp_path / "logs", ROWS)
    assert_same(read(folder), ROWS)
    seen = detect(folder)
    assert (seen.layout, seen.episodes, seen.action_kind) == ("hdf5 (dreamer-v4)", 5, "delta")


@pytest.mark.parametrize("channels_first", [False, True])
def test_stable_worldmodel_rows_are_cut_into_episodes(tmp_path: Path, channels_first: bool) -> None:
    found = read(stable_worldmodel(tmp_path / "a.h5", ROWS, channels_first=channels_first))
    assert_same(found, ROWS)


@pytest.fixture
def minari_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return tmp_path


def test_a_minari_dataset_is_read_exactly(minari_home: Path) -> None:
    folder = minari_set(minari_home, STEPS)
    found = read(folder)
    assert_same(found, STEPS)
    for one, original in zip(found, STEPS, strict=True):
        assert one.state is not None
        assert (one.state == original["state"]).all()
        assert one.terminated is not None
        assert (one.terminated == original["done"]).all()
    assert detect(folder).layout == "hdf5 (minari)"


def test_minari_packs_large_pictures_as_jpeg(minari_home: Path) -> None:
    logs = [log(i, side=32) for i in range(2)]
    for one in logs:
        one["image"] = np.broadcast_to(
            np.arange(len(one["image"]), dtype=np.uint8)[:, None, None, None] * 9, (6, 32, 32, 3)
        )
    assert_same(read(minari_set(minari_home, logs)), logs, bound=3)


def test_a_file_per_episode_may_have_any_names(tmp_path: Path) -> None:
    for n, one in enumerate(ROWS):
        arrays = {"cam1": one["image"].transpose(0, 3, 1, 2), "log/actions": one["action"]}
        (tmp_path / f"{n}.h5").write_bytes(hdf5_bytes(arrays))
    assert_same(read(tmp_path), ROWS)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zipped_files_become_a_dataset(tmp_path: Path, method: int) -> None:
    folder = aloha(tmp_path / "logs", ROWS)

    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w", method) as archive:
            for file in folder.iterdir():
                archive.write(file, f"deep/{file.name}")

    out, result = ingest(tmp_path, make)
    assert (result["format"], result["episodes"]) == ("hdf5 (aloha)", 5)
    assert not [f for f in findings(out) if f["severity"] == "error"]


def test_one_file_is_an_upload_of_its_own(tmp_path: Path) -> None:
    made = robomimic(tmp_path / "made", STEPS[:3])
    _, result = ingest(tmp_path, lambda p: p.write_bytes(made.read_bytes()), "demo.hdf5")
    assert (result["format"], result["episodes"]) == ("hdf5 (robomimic)", 3)


CHUNKS: list[dict[str, Any]] = [
    {},
    {"chunks": (4, 16, 16, 3)},
    {"chunks": (3, 5, 16, 2), "compression": "gzip"},
    {"chunks": (1, 16, 16, 3), "compression": "lzf"},
    {"chunks": (7, 16, 16, 3), "compression": "gzip", "shuffle": True, "fletcher32": True},
    {"chunks": (7, 16, 16, 3), "shuffle": True},
]


@pytest.mark.parametrize("options", CHUNKS, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, ">i2"], ids=str)
def test_every_way_to_store_chunks_reads_the_same(
    tmp_path: Path, options: dict[str, Any], dtype: Any
) -> None:
    image = per_frame(0, length=20)["image"]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", data=image.astype(dtype), **options)
        file["action"] = np.zeros((20, 2))
    with closing(open_logs(tmp_path / "a.h5")) as reader, reader.open(reader.episodes[0]) as fields:
        for start, stop in ((0, 20), (13, 20), (0, 1), (5, 5), (6, 9)):
            assert (fields["image"].read(start, stop) == image[start:stop]).all()


@pytest.mark.parametrize(
    ("filter_code", "codec"),
    [(32001, numcodecs.Blosc("zstd")), (32001, numcodecs.Blosc("lz4")), (32015, numcodecs.Zstd())],
    ids=str,
)
def test_plugin_codecs_are_unpacked_without_plugins(
    tmp_path: Path, filter_code: int, codec: numcodecs.abc.Codec
) -> None:
    image = per_frame(0, length=8)["image"]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["action"] = np.zeros((8, 2))
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((4, 16, 16, 3))
        plan.set_filter(filter_code, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple(image.shape)
        made = h5py.h5d.create(file.id, b"image", h5py.h5t.NATIVE_UINT8, space, plan)
        for start in (0, 4):
            made.write_direct_chunk((start, 0, 0, 0), bytes(codec.encode(image[start : start + 4])))
    with closing(open_logs(tmp_path / "a.h5")) as reader, reader.open(reader.episodes[0]) as fields:
        assert (fields["image"].read() == image).all()


Damage = Callable[[h5py.File, Path], object]


def short(file: h5py.File, _: Path) -> None:
    made = file.create_dataset("image", (8, 16, 16, 3), "u1", chunks=(8, 16, 16, 3), compression=4)
    made.id.write_direct_chunk((0, 0, 0, 0), zlib.compress(bytes(100)))


def long(file: h5py.File, _: Path) -> None:
    made = file.create_dataset("image", (8, 16, 16, 3), "u1", chunks=(8, 16, 16, 3), compression=4)
    made.id.write_direct_chunk((0, 0, 0, 0), bytes(10**5))


def virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((8, 16, 16, 3), "u1")
    layout[:] = h5py.VirtualSource(folder / "other.h5", "image", (8, 16, 16, 3))
    file.create_virtual_dataset("image", layout)


def external_storage(file: h5py.File, _: Path) -> None:
    file.create_dataset("image", (8, 16, 16, 3), "u1", external=[("/etc/passwd", 0, 6144)])


def external_link(file: h5py.File, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["image"] = np.zeros((8, 16, 16, 3), np.uint8)
    file["image"] = h5py.ExternalLink(folder / "other.h5", "/image")


def soft_link(file: h5py.File, _: Path) -> None:
    file["image"] = h5py.SoftLink("/etc/image")


def references(file: h5py.File, _: Path) -> None:
    file.create_dataset("image", data=[file.ref] * 8, dtype=h5py.ref_dtype)


def texts(file: h5py.File, _: Path) -> None:
    file.create_dataset("image", data=["left"] * 8, dtype=h5py.string_dtype())


def compound(file: h5py.File, _: Path) -> None:
    file["image"] = np.zeros(8, [("a", "u1"), ("b", "f4")])


def huge_chunk(file: h5py.File, _: Path) -> None:
    chunks = (20000, 16, 16, 300)
    file.create_dataset("image", (20000, 16, 16, 300), "u1", chunks=chunks, compression="gzip")


def scalar(file: h5py.File, _: Path) -> None:
    file["image"] = 7


def unknown_filter(file: h5py.File, _: Path) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((8, 16, 16, 3))
    plan.set_filter(32019, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple((8, 16, 16, 3))
    h5py.h5d.create(file.id, b"image", h5py.h5t.NATIVE_UINT8, space, plan)


def two_packers(file: h5py.File, _: Path) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((8, 16, 16, 3))
    plan.set_deflate(1)
    plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple((8, 16, 16, 3))
    h5py.h5d.create(file.id, b"image", h5py.h5t.NATIVE_UINT8, space, plan)


def broken_jpeg(file: h5py.File, _: Path) -> None:
    data = encoded(np.zeros((16, 16, 3), np.uint8), "jpg")
    file["image"] = np.stack([np.frombuffer(data[:-20].ljust(len(data), b"\0"), np.uint8)] * 8)


def large_jpeg(file: h5py.File, _: Path) -> None:
    data = bytearray(encoded(np.zeros((16, 16, 3), np.uint8), "jpg"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"
    file["image"] = np.stack([np.frombuffer(bytes(data), np.uint8)] * 8)


HOSTILE: list[tuple[Damage, str]] = [
    (short, "cannot be read"),
    (long, "100000 bytes where 6144 are expected"),
    (virtual, "keeps its values in other files, which are never opened"),
    (external_storage, "keeps its values in other files"),
    (external_link, "no 'image' or 'images' among the keys"),
    (soft_link, "no 'image' or 'images' among the keys"),
    (references, "holds object values"),
    (texts, "holds object values"),
    (compound, "values; store plain numbers"),
    (huge_chunk, "takes more than 1 GiB"),
    (scalar, "is a single value"),
    (unknown_filter, "HDF5 filter 32019"),
    (two_packers, "HDF5 filter 32015"),
    (broken_jpeg, "is a JPEG that ends early"),
    (large_jpeg, "65535 x 65535 pixels"),
]


@pytest.mark.parametrize(("damage", "words"), HOSTILE, ids=lambda v: getattr(v, "__name__", ""))
def test_harm_is_refused_by_name(tmp_path: Path, damage: Damage, words: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["action"] = np.zeros((8, 2))
        damage(file, tmp_path)
    with pytest.raises(ValueError, match=words):
        read(tmp_path / "a.h5", mapping={} if "link" in damage.__name__ else {"image": "image"})


def test_a_chunk_is_unpacked_only_as_far_as_it_should_go(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["action"] = np.zeros((8, 2))
        chunk = (8, 16, 16, 3)
        made = file.create_dataset("image", chunk, "u1", chunks=chunk, compression=4)
        made.id.write_direct_chunk((0, 0, 0, 0), zlib.compress(bytes(1 << 20)))
    assert read(tmp_path / "a.h5")[0].frames.shape == chunk


def test_links_in_circles_end(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x/action"] = np.zeros((8, 2))
        for n in range(5):
            file[f"x/again{n}"] = file["x"]
    with pytest.raises(LogError, match="no 'image'"):
        open_logs(tmp_path / "a.h5")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_file_is_named_and_the_others_kept(tmp_path: Path, share: float) -> None:
    folder = aloha(tmp_path / "logs", ROWS)
    whole = (folder / "episode_1.hdf5").read_bytes()
    (folder / "episode_1.hdf5").write_bytes(whole[: int(share * len(whole))])
    out, result = ingest(tmp_path, lambda p: zipped(folder, p))
    (finding,) = (f for f in findings(out) if f["severity"] == "error")
    assert (result["episodes"], finding["code"], finding["file"]) == (
        4,
        "truncated",
        "episode_1.hdf5",
    )
    assert "is not a whole HDF5 file (" in finding["message"]


def test_an_unknown_layout_lists_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(hdf5_bytes({"temperature": np.zeros(3)}))
    with pytest.raises(LogError, match=r"at its top it has \['temperature'\].*robomimic.*#hdf5"):
        open_logs(tmp_path / "a.h5")


@pytest.mark.parametrize("lengths", [[-1, 5], [5, 99], [5.0, 6.0]])
def test_lengths_that_cannot_be_are_refused(tmp_path: Path, lengths: list[float]) -> None:
    folder = dreamer_v4(tmp_path / "logs", ROWS[:2])
    with h5py.File(folder / "shard_0000.h5", "a") as file:
        del file["episode_lengths"]
        file["episode_lengths"] = lengths
    with pytest.raises(ValueError, match="episode_lengths"):
        read(folder)


def test_random_damage_never_raises_anything_but_value_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for data in _damaged(robomimic(tmp_path / "a", STEPS[:2]).read_bytes(), rng):
        (tmp_path / "b.h5").write_bytes(data)
        try:
            read(tmp_path / "b.h5")
        except ValueError:
            refused += 1
    assert refused > 40


def _damaged(whole: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    for _ in range(120):
        data = bytearray(whole)
        for at in rng.integers(len(data), size=rng.integers(1, 20)):
            data[at] = rng.integers(256)
        yield bytes(data[: len(data) if rng.random() < 0.7 else int(rng.integers(len(data)))])


def test_names_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    path = robomimic(tmp_path / "logs.hdf5", [log(n) for n in range(2)])
    with h5py.File(path, "r+") as file:
        demo = file["data/demo_0"]
        h5py.h5g.create(demo.id, b"\xff\xfe")
        del demo["obs/agentview_image"]
    with pytest.raises(ValueError, match="obs/agentview_image: is not there; there are"):
        ingest(tmp_path, lambda p: path.rename(p), "logs.hdf5", bad_episodes="fail")
