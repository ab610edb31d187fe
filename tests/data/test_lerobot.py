"""LeRobot datasets of every version, read without the lerobot package."""

import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data.episode import EpisodeError
from core.data.readers import LogError, detect, open_logs
from core.data.readers.base import Field
from core.pictures import shrunk
from tests.data.lerobot_makers import CAMERAS, numbers_of, recorded, write_v2, write_v3
from tests.data.makers import findings, ingest, zipped

EPISODES = recorded()
Read = dict[Field, np.ndarray]


def read(path: Path, **options: Any) -> list[Read]:
    with closing(open_logs(path, **options)) as reader:
        found = []
        for ref in reader.episodes:
            with reader.open(ref) as fields:
                found.append({f: rows.read() for f, rows in fields.items()})
        return found


def assert_same(found: list[Read], camera: int = 0) -> None:
    """Numbers exactly, and of every frame which one it is."""
    for one, original in zip(found, EPISODES, strict=True):
        first = original.first + 2048 * camera
        assert numbers_of(one["image"]) == list(range(first, first + original.length))
        assert (one["action"] == original.action).all()
        assert (one["state"] == original.state).all()
        assert (one["reward"] == np.arange(original.length)).all()
        assert one["terminated"].tolist() == [False] * (original.length - 1) + [True]
        assert np.allclose(one["time"], np.arange(original.length) / 10)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "v2.0": lambda p: write_v2(p, EPISODES, minor=0),
    "v2.1": lambda p: write_v2(p, EPISODES),
    "v2.1 images": lambda p: write_v2(p, EPISODES, images=True),
    "v3.0": lambda p: write_v3(p, EPISODES),
    "v3.0 in one file": lambda p: write_v3(p, EPISODES, per_file=99, rows_per_group=99),
    "v3.0 far key frames": lambda p: write_v3(p, EPISODES, per_file=99, group=250),
    "v3.0 AV1": lambda p: write_v3(p, EPISODES, codec="libsvtav1"),
    "v3.0 images": lambda p: write_v3(p, EPISODES, images=True),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_version_gives_the_same_episodes(tmp_path: Path, kind: str) -> None:
    folder = WRITERS[kind](tmp_path / "set")
    assert_same(read(folder))
    found = detect(folder)
    version = kind.split()[0]
    assert (found.format, found.layout, found.episodes) == ("lerobot", f"lerobot {version}", 4)
    assert (found.fps, found.task, found.problem) == (10, "push the block", "")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_with_the_folder_inside_is_read(tmp_path: Path, method: int) -> None:
    folder = write_v3(tmp_path / "set", EPISODES)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, f"deep/set/{file.relative_to(folder)}")
    assert_same(read(tmp_path / "a.zip"))


def test_episodes_of_a_packed_video_may_be_read_in_any_order(tmp_path: Path) -> None:
    folder = write_v3(tmp_path / "set", EPISODES, per_file=99, group=5)
    with closing(open_logs(folder)) as reader:
        for n in (3, 0, 2, 1, 1, 3):
            with reader.open(reader.episodes[n]) as fields:
                first, length = EPISODES[n].first, EPISODES[n].length
                assert numbers_of(fields["image"].read(length - 1)) == [first + length - 1]
                assert numbers_of(fields["image"].read(0, 1)) == [first]
                assert (fields["action"].read() == EPISODES[n].action).all()


def test_pictures_in_parquet_are_read_exactly(tmp_path: Path) -> None:
    found = read(write_v3(tmp_path / "set", EPISODES, images=True))
    for one, original in zip(found, EPISODES, strict=True):
        assert (one["image"] == original.frames()).all()


@pytest.mark.parametrize("codec", ["libx264", "libsvtav1"])
def test_videos_lose_little(tmp_path: Path, codec: str) -> None:
    found = read(write_v3(tmp_path / "set", EPISODES, codec=codec))
    wrong = [
        np.abs(one["image"].astype(int) - original.frames()).mean()
        for one, original in zip(found, EPISODES, strict=True)
    ]
    assert max(wrong) < 4


@pytest.mark.parametrize("codec", ["libx264", "libsvtav1"])
def test_videos_that_are_read_small_are_as_if_shrunk_afterwards(tmp_path: Path, codec: str) -> None:
    with closing(open_logs(write_v3(tmp_path / "set", EPISODES, codec=codec))) as reader:
        for ref in reader.episodes:
            with reader.open(ref) as fields:
                rows = fields["image"]
                small = rows.read_small(0, len(rows), 24, 16)
                afterwards = np.stack([shrunk(frame, 24, 16) for frame in rows.read()])
            wrong = np.abs(small.astype(int) - afterwards)
            assert small.shape == (len(rows), 24, 16, 3)
            assert (wrong.mean() < 2, wrong.max() < 16) == (True, True)


def test_another_camera_is_read_when_it_is_chosen(tmp_path: Path) -> None:
    folder = write_v3(tmp_path / "set", EPISODES)
    assert_same(read(folder, mapping={"image": CAMERAS[1]}), camera=1)
    found = detect(folder)
    assert found.fields["image"] == CAMERAS[0]
    assert [c.key for c in found.cameras] == list(CAMERAS)
    assert found.notes == (
        "of 2 cameras 'observation.images.front' is read; left out: ['observation.images.wrist']",
    )


def test_columns_carry_their_names(tmp_path: Path) -> None:
    columns = {c.key: c for c in detect(write_v3(tmp_path / "set", EPISODES)).columns}
    assert columns["observation.state"].names == ("x", "y")
    assert columns["action"].names == ("a", "b", "grip")
    assert columns["action"].shape == (3,)
    assert columns["next.reward"].shape == ()


def test_an_upload_becomes_a_dataset(tmp_path: Path) -> None:
    folder = write_v3(tmp_path / "set", EPISODES)
    out, result = ingest(tmp_path, lambda p: zipped(folder, p), action_kind="absolute")
    assert (result["format"], result["episodes"], result["fps"]) == ("lerobot v3.0", 4, 10)
    assert result["image_size"] == 32
    assert [f["severity"] for f in findings(out)].count("error") == 0


def test_states_in_pieces_are_joined(tmp_path: Path) -> None:
    folder = write_v3(tmp_path / "set", EPISODES)
    found = read(folder, mapping={"state": "observation.state, next.reward"})
    assert found[0]["state"].shape == (9, 3)
    assert (found[0]["state"][:, 2] == np.arange(9)).all()


def damaged_set(tmp_path: Path, damage: Callable[[Path], object], version: int) -> Path:
    folder = (write_v2 if version == 2 else write_v3)(tmp_path / "set", EPISODES)
    damage(folder)
    return folder


def change_info(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "meta/info.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def cut(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return change


EPISODES_FILE = "meta/episodes/chunk-000/file-000.parquet"


@pytest.mark.parametrize(
    ("version", "damage", "words"),
    [
        (3, lambda f: (f / "meta/info.json").write_text("[" * 10**5), r"info\.json is not valid"),
        (3, change_info(fps=0), r"info\.json is not valid \(fps"),
        (3, change_info(data_path="{chunk_index.__class__}"), "not among the files"),
        (3, change_info(data_path="{chunk_index:999999999d}/{x}"), "asks for 'x'"),
        (3, change_info(features={}), r"info\.json is not valid \(features"),
        (3, change_info(features={"x": {"dtype": "float32", "shape": [2]}}), "no 'image' or"),
        (3, cut(EPISODES_FILE), r"file-000\.parquet: is not a whole parquet file"),
        (3, lambda f: shutil.rmtree(f / "meta/episodes"), "upload the whole dataset"),
        (2, lambda f: (f / "meta/episodes.jsonl").write_text('{"length": -1}'), "line 1 is not"),
        (2, lambda f: (f / "meta/episodes.jsonl").write_text(""), "names 0 episodes"),
    ],
)
def test_damage_to_the_whole_is_named(
    tmp_path: Path, version: int, damage: Callable[[Path], object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        read(damaged_set(tmp_path, damage, version))


def with_other_rows(folder: Path) -> None:
    path = folder / "data/chunk-000/episode_000001.parquet"
    rows = pq.read_table(path)
    pq.write_table(rows.slice(0, 5), path)


def with_ragged_actions(folder: Path) -> None:
    path = folder / "data/chunk-000/episode_000001.parquet"
    rows = pq.read_table(path)
    ragged = [[1.0, 2.0, 3.0]] * (rows.num_rows - 1) + [[1.0]]
    at = rows.schema.get_field_index("action")
    pq.write_table(rows.set_column(at, "action", pa.array(ragged, pa.list_(pa.float32()))), path)


def of_another_episode(folder: Path) -> None:
    one, two = (folder / f"data/chunk-000/episode_00000{n}.parquet" for n in (1, 2))
    rows = pq.read_table(one)
    at = rows.schema.get_field_index("episode_index")
    pq.write_table(rows.set_column(at, "episode_index", pa.array([2] * rows.num_rows)), one)
    assert two.exists()


def with_short_video(folder: Path) -> None:
    videos = folder / f"videos/chunk-000/{CAMERAS[0]}"
    shutil.copy(videos / "episode_000002.mp4", videos / "episode_000001.mp4")


BROKEN: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "unclosed parquet": (cut("data/chunk-000/episode_000001.parquet"), "truncated", "parquet"),
    "unclosed video": (
        cut(f"videos/chunk-000/{CAMERAS[0]}/episode_000001.mp4"), "truncated", "mp4"
    ),
    "no video": (
        lambda f: (f / f"videos/chunk-000/{CAMERAS[0]}/episode_000001.mp4").unlink(),
        "unreadable",
        "not among the files",
    ),
    "short video": (with_short_video, "time_skew", "no frame at 0.5000 s"),
    "fewer rows": (with_other_rows, "length_mismatch", "has 5 rows where meta says 14"),
    "ragged": (with_ragged_actions, "wrong_shape", "40 values in 14 rows"),
    "other episode": (of_another_episode, "wrong_ends", "is [2] in rows"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_episode_is_dropped_by_name(tmp_path: Path, kind: str) -> None:
    damage, code, words = BROKEN[kind]
    folder = damaged_set(tmp_path, damage, 2)
    out, result = ingest(tmp_path, lambda p: zipped(folder, p))
    (finding,) = (f for f in findings(out) if f["severity"] == "error")
    assert (result["episodes"], finding["episode"], finding["code"]) == (3, 1, code)
    assert words in finding["message"]
    assert "episode_000001" in finding["file"]


def test_a_picture_that_is_no_mp4_but_a_playlist_is_refused(tmp_path: Path) -> None:
    folder = write_v2(tmp_path / "set", EPISODES)
    for video in folder.rglob("*.mp4"):
        video.write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
    with pytest.raises(EpisodeError, match="is not a whole mp4"):
        read(folder)


def test_version_1_asks_for_conversion(tmp_path: Path) -> None:
    (tmp_path / "set/meta_data").mkdir(parents=True)
    (tmp_path / "set/meta_data/info.json").write_text("{}")
    with pytest.raises(LogError, match="version 1"):
        open_logs(tmp_path / "set")
