"""Videos and folders of pictures with a table of actions beside them."""

import csv
import json
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from core.data.dataset import Dataset
from core.data.episode import EpisodeError
from core.data.readers import detect, open_logs
from core.data.readers.base import LogError
from core.data.readers.files import FolderFiles
from core.data.readers.table import read_table
from core.data.readers.video_table import frame_times
from tests.data.makers import findings, ingest, zipped
from tests.data.videos import encoded

Rows = Mapping[str, Sequence[Any] | np.ndarray]


def shots(seed: int, length: int = 12, side: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (length, side, side, 3), dtype=np.uint8)


def video(path: Path, frames: np.ndarray, fps: int = 10, codec: str = "libx264rgb") -> Path:
    """Lossless for H.264 in RGB, so that every frame can be told from every other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lossless = ("rgb24", {"qp": "0", "bf": "2", "g": "5"})
    pixels, options = lossless if codec == "libx264rgb" else ("yuv420p", {})
    path.write_bytes(encoded(frames, fps, codec, pixels, options))
    return path


def table(path: Path, columns: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps({k: np.asarray(v).tolist() for k, v in columns.items()}))
    elif path.suffix == ".jsonl":
        rows = zip(*columns.values(), strict=True)
        lines = [dict(zip(columns, np.array(r).tolist(), strict=True)) for r in rows]
        path.write_text("\n".join(json.dumps(line) for line in lines))
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
    return path


def actions(seed: int, length: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(100 + seed)
    return {
        "action_x": rng.normal(size=length),
        "action_y": rng.normal(size=length),
        "state_x": rng.normal(size=length),
    }


def pictures(folder: Path, frames: np.ndarray, suffix: str = "png") -> None:
    folder.mkdir(parents=True)
    for n, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{n}.{suffix}"), frame[..., ::-1])


LAYOUTS = {
    "side by side": ("ep_{n}.mp4", "ep_{n}.csv"),
    "folders of kinds": ("videos/ep_{n}.mp4", "data/ep_{n}.json"),
    "folder per episode": ("ep_{n}/front.mp4", "ep_{n}/log.csv"),
    "name continued": ("ep_{n}_front.mp4", "ep_{n}.csv"),
    "folder per camera": ("front/ep_{n}.mp4", "tables/ep_{n}.csv"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_videos_and_tables_are_joined_frame_by_frame(tmp_path: Path, layout: str) -> None:
    folder = tmp_path / "logs"
    for n in range(11):
        seen, told = (folder / name.format(n=n) for name in LAYOUTS[layout])
        video(seen, shots(n))
        table(told, actions(n, 12))
    out, result = ingest(tmp_path, lambda p: zipped(folder, p))
    dataset = Dataset.open(out)
    assert (result["format"], result["fps"], result["episodes"]) == ("video", 10.0, 11)
    for n, episode in enumerate(dataset.episodes):
        rows = slice(episode.start, episode.start + 12)
        assert (dataset.frames[rows] == shots(n)).all()
        np.testing.assert_allclose(dataset.actions[rows][:-1, 1], actions(n, 12)["action_y"][:-1])
    assert findings(out) == []


@pytest.mark.parametrize(("suffix", "told"), [("png", ".csv"), ("png", ".jsonl"), ("jpg", ".json")])
def test_folders_of_pictures_are_joined_with_their_tables(
    tmp_path: Path, suffix: str, told: str
) -> None:
    folder = tmp_path / "logs"
    for n in range(3):
        pictures(folder / f"ep_{n}", shots(n), suffix)
        table(folder / f"ep_{n}{told}", actions(n, 12))
    out, result = ingest(tmp_path, lambda p: zipped(folder, p), fps=5)
    dataset = Dataset.open(out)
    assert (result["format"], result["fps"], result["episodes"]) == ("frames", 5.0, 3)
    read = [cv2.imread(str(folder / "ep_0" / f"{n}.{suffix}"))[..., ::-1] for n in range(12)]
    assert (dataset.frames[:12] == read).all()
    assert suffix == "jpg" or (dataset.frames[:12] == shots(0)).all()


def test_one_of_several_cameras_is_chosen(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    for n in range(2):
        pictures(folder / f"ep_{n}" / "front", shots(n))
        pictures(folder / f"ep_{n}" / "wrist", shots(10 + n))
        table(folder / f"ep_{n}" / "log.csv", actions(n, 12))
    found = detect(folder)
    assert [c.key for c in found.cameras] == ["front", "wrist"]
    assert found.fields["image"] == "front"
    out, _ = ingest(tmp_path, lambda p: zipped(folder, p), mapping={"image": "wrist"})
    assert (Dataset.open(out).frames[:12] == shots(10)).all()


def test_columns_of_any_name_are_joined_by_a_mapping(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    for n in range(2):
        video(folder / f"{n}.mp4", shots(n))
        table(
            folder / f"{n}.csv", {"vx": np.arange(12), "vy": -np.arange(12.0), "who": ["me"] * 12}
        )
    with pytest.raises(LogError, match=r"no 'action' or 'actions' among the keys .*'vx', 'vy'"):
        open_logs(folder)
    out, result = ingest(tmp_path, lambda p: zipped(folder, p), mapping={"action": "vy, vx"})
    assert result["action_dim"] == 2
    assert Dataset.open(out).actions[3].tolist() == [-3, 3]


def test_rows_find_their_frames_by_number_or_by_time(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    picked = np.array([0, 2, 3, 7, 11])
    for n, clock in enumerate(({"frame": picked}, {"t": picked / 10 + 0.01})):
        video(folder / f"{n}.mp4", shots(n))
        table(folder / f"{n}.csv", {**clock, "action": np.arange(5)})
    with closing(open_logs(folder)) as reader:
        for n, ref in enumerate(reader.episodes):
            with reader.open(ref) as fields:
                assert (fields["image"].read() == shots(n)[picked]).all()


def test_frame_times_are_those_of_decoded_frames(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4", shots(0, 40), fps=25)
    times = frame_times(FolderFiles(tmp_path, "logs"), "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as container:
        decoded = [f.time for f in container.decode(video=0)]
    np.testing.assert_allclose(times, decoded)


def test_a_video_of_another_length_than_its_table_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    for n in range(3):
        video(folder / f"{n}.mp4", shots(n, 12 if n != 1 else 9))
        table(folder / f"{n}.csv", actions(n, 12))
    out, result = ingest(tmp_path, lambda p: zipped(folder, p))
    (finding,) = findings(out)
    assert (result["episodes"], finding["episode"], finding["file"]) == (2, 1, "1.csv")
    assert (finding["code"], finding["frame"]) == ("length_mismatch", 8)


def test_a_cut_video_is_reported_and_av1_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    for n in range(3):
        video(folder / f"{n}.mp4", shots(n, side=64), codec="libsvtav1" if n == 0 else "libx264rgb")
        table(folder / f"{n}.csv", actions(n, 12))
    cut = (folder / "1.mp4").read_bytes()
    (folder / "1.mp4").write_bytes(cut[: len(cut) // 2])
    out, _ = ingest(tmp_path, lambda p: zipped(folder, p))
    (finding,) = findings(out)
    assert (finding["code"], finding["episode"]) == ("truncated", 1)
    told = next(f for f in findings(out, "info") if f["code"] == "video_codec")
    assert "av1" in told["message"]


def test_a_playlist_named_mp4_opens_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    for n in range(3):
        video(folder / f"{n}.mp4", shots(n))
        table(folder / f"{n}.csv", actions(n, 12))
    secret = video(tmp_path / "secret.mp4", shots(9))
    (folder / "1.mp4").write_text(f"ffconcat version 1.0\nfile {secret}\n")
    out, result = ingest(tmp_path, lambda p: zipped(folder, p))
    assert result["episodes"] == 2
    assert findings(out)[0]["episode"] == 1


def test_a_broken_picture_is_named_with_its_frame(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    for n in range(3):
        pictures(folder / f"ep_{n}", shots(n, 30))
        table(folder / f"ep_{n}.csv", actions(n, 30))
    whole = (folder / "ep_1" / "20.png").read_bytes()
    (folder / "ep_1" / "20.png").write_bytes(whole[:200])
    out, _ = ingest(tmp_path, lambda p: zipped(folder, p))
    (finding,) = findings(out)
    assert (finding["code"], finding["episode"], finding["frame"]) == ("unreadable", 1, 20)
    out, _ = ingest(tmp_path, lambda p: zipped(folder, p), bad_episodes="trim")
    assert [e.length for e in Dataset.open(out).episodes] == [30, 20, 30]
    assert findings(out)[0]["severity"] == "warning"
    (folder / "ep_1" / "20.png").unlink()
    (folder / "ep_1" / "29.png").rename(folder / "ep_1" / "31.png")
    out, _ = ingest(tmp_path, lambda p: zipped(folder, p))
    assert ("time_gap", 1, 20) in {(f["code"], f["episode"], f["frame"]) for f in findings(out)}


BAD_TABLES = {
    "no names": ("1,2\n3,4\n", "has no names in its first line", None),
    "short line": ("action,x\n1,2\n3\n", "line 3 has 1 cells where 2 have names", 1),
    "text among numbers": ("action,x\n1,2\noops,4\n", "line 3 has 'oops' among numbers", 1),
    "name twice": ("action,action\n1,2\n", "or one of them twice", None),
    "no numbers": ("who\nme\n", "holds no columns of numbers", None),
}


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_a_bad_table_says_which_line(tmp_path: Path, kind: str) -> None:
    text, words, row = BAD_TABLES[kind]
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(EpisodeError) as caught:
        read_table(FolderFiles(tmp_path, "logs"), "a.csv")
    assert words in str(caught.value)
    assert caught.value.frame == row


def test_deep_or_odd_json_is_refused_by_name(tmp_path: Path) -> None:
    for text in ("[" * 100_000, "3", '{"action": [1, [2]]}', "[1, 2]", "nope", '["a"]'):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(EpisodeError, match=r"a\.json"):
            read_table(FolderFiles(tmp_path, "logs"), "a.json")


def test_a_table_without_pictures_is_an_error_of_its_episode(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    for n in range(3):
        table(folder / f"{n}.csv", actions(n, 12))
        if n != 1:
            video(folder / f"{n}.mp4", shots(n))
    out, result = ingest(tmp_path, lambda p: zipped(folder, p))
    (finding,) = findings(out)
    assert (finding["code"], finding["episode"]) == ("missing_key", 1)
    assert result["episodes"] == 2


def test_names_in_the_archive_lead_nowhere(tmp_path: Path) -> None:
    def hostile(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for n in range(2):
                seen = video(tmp_path / f"{n}.mp4", shots(n))
                told = table(tmp_path / f"{n}.csv", actions(n, 12))
                archive.write(seen, f"../../etc/{n}.mp4")
                archive.write(told, f"../../etc/{n}.csv")

    _, result = ingest(tmp_path, hostile)
    assert result["episodes"] == 2
