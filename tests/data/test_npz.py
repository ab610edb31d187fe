"""npz logs: names, lengths, layouts and ranges of the arrays."""

import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from core.data.conform import Conformer
from core.data.episode import Episode, EpisodeError
from core.data.readers import LogError, detect, open_logs
from core.jobs.spec import IngestSpec
from tests.data.makers import UPLOAD, Arrays, episode, log, npz_bytes, npz_zip, per_frame


def read(path: Path, image_size: int | None = None, **options: Any) -> list[Episode]:
    conformer = Conformer(IngestSpec(upload=UPLOAD, name="logs", image_size=image_size))
    episodes = []
    with closing(open_logs(path, **options)) as reader:
        for ref in reader.episodes:
            with reader.open(ref) as fields:
                episodes.append(conformer.episode(fields, ref.file))
    return episodes


def read_one(tmp_path: Path, image_size: int | None = None, **changes: Any) -> Episode:
    path = tmp_path / "one.npz"
    path.write_bytes(npz_bytes(log(0, **changes)))
    return read(path, image_size)[0]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_of_npz_files_is_read(tmp_path: Path, method: int) -> None:
    path = npz_zip(tmp_path / "a.zip", [log(i) for i in range(3)], method)
    for i, one in enumerate(read(path)):
        original = episode(i, side=16)
        assert (one.frames == original.frames).all()
        assert (one.actions == original.actions).all()
        assert one.state is not None
        assert (one.state == original.state).all()
        assert one.reward is not None
        assert (one.reward == original.reward).all()
        assert one.terminated is not None
        assert (one.terminated == original.terminated).all()


def test_a_folder_and_a_single_file_are_read(tmp_path: Path) -> None:
    for i in range(2):
        (tmp_path / f"{i}.npz").write_bytes(npz_bytes(log(i)))
    both = read(tmp_path)
    assert (read(tmp_path / "1.npz")[0].frames == both[1].frames).all()


def test_files_are_taken_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for i in (10, 2, 1):
        (tmp_path / f"ep_{i}.npz").write_bytes(npz_bytes(log(i)))
    assert [e.source for e in read(tmp_path)] == ["ep_1.npz", "ep_2.npz", "ep_10.npz"]


def test_of_as_many_actions_as_frames_the_last_is_dropped(tmp_path: Path) -> None:
    original = per_frame(0)
    (tmp_path / "a.npz").write_bytes(npz_bytes(original | {"reward": np.arange(6.0)}))
    one = read(tmp_path / "a.npz")[0]
    assert (one.actions == original["action"][:-1]).all()
    assert one.reward is not None
    assert one.reward.tolist() == [0, 1, 2, 3, 4]


def test_one_file_may_hold_many_episodes(tmp_path: Path) -> None:
    logs = [per_frame(i, length=4 + i) for i in range(3)]
    flat = {k: np.concatenate([one[k] for one in logs]) for k in logs[0]}
    (tmp_path / "a.npz").write_bytes(npz_bytes(flat | {"episode_ends": np.array([4, 9, 15])}))
    for one, original in zip(read(tmp_path / "a.npz"), logs, strict=True):
        assert (one.frames == original["image"]).all()
        assert (one.actions == original["action"][:-1]).all()


def test_rows_can_be_read_out_of_order(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(npz_bytes(log(0)))
    with (
        closing(open_logs(tmp_path / "a.npz")) as reader,
        reader.open(reader.episodes[0]) as fields,
    ):
        image = fields["image"]
        late, early = image.read(4, 6), image.read(1, 2)
        assert (late == episode(0, side=16).frames[4:6]).all()
        assert (early == episode(0, side=16).frames[1:2]).all()


@pytest.mark.parametrize("key", ["obs", "observations", "pixels", "img", "image", "images"])
def test_images_are_found_under_their_usual_names(tmp_path: Path, key: str) -> None:
    arrays = log(0)
    (tmp_path / "a.npz").write_bytes(npz_bytes({key: arrays.pop("image"), **arrays}))
    assert len(read(tmp_path / "a.npz")) == 1


def test_a_mapping_names_other_keys(tmp_path: Path) -> None:
    arrays = log(0)
    changed = arrays | {"cmd_vel": arrays["action"] + 1}
    (tmp_path / "a.npz").write_bytes(npz_bytes(changed))
    one = read(tmp_path / "a.npz", mapping={"action": "cmd_vel"})[0]
    assert (one.actions == changed["cmd_vel"]).all()
    with pytest.raises(LogError, match="no 'velocity' among the keys"):
        read(tmp_path / "a.npz", mapping={"action": "velocity"})
    with pytest.raises(LogError, match="no field is called 'acton'"):
        read(tmp_path / "a.npz", mapping={"acton": "cmd_vel"})


def frames_of(tmp_path: Path, image: np.ndarray) -> np.ndarray:
    return read_one(tmp_path, image=image).frames


def test_layouts_and_types_of_images_mean_the_same(tmp_path: Path) -> None:
    frames = episode(0, side=16).frames
    gray = frames[..., :1]
    same: list[tuple[np.ndarray, np.ndarray]] = [
        (frames, frames),
        (frames.transpose(0, 3, 1, 2), frames),
        (np.asfortranarray(frames), frames),
        (frames.astype(np.int64), frames),
        (frames.astype(np.float32), frames),
        (frames.astype(">f8"), frames),
        (frames / 255, frames),
        ((frames / 255).astype(np.float16), frames),
        (gray, gray.repeat(3, 3)),
        (gray[..., 0], gray.repeat(3, 3)),
        (gray.transpose(0, 3, 1, 2), gray.repeat(3, 3)),
        (gray > 127, (gray > 127).repeat(3, 3) * 255),
    ]
    for logged, expected in same:
        assert (frames_of(tmp_path, logged) == expected).all(), (logged.dtype, logged.shape)


def test_frames_are_shrunk_by_averaging(tmp_path: Path) -> None:
    frames = episode(0, side=32).frames
    small = read_one(tmp_path, image_size=16, image=frames).frames
    means = frames.reshape(6, 16, 2, 16, 2, 3).mean((2, 4))
    assert np.abs(small - means).max() <= 0.5


def test_much_smaller_frames_are_near_plain_means(tmp_path: Path) -> None:
    """They are halved first, which is many times as fast."""
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), (320, 240))
    logged = log(0, 2) | {"image": np.stack([smooth, smooth[::-1]])}
    (made,) = read(npz_zip(tmp_path / "a.zip", [logged]), image_size=32)
    means = cv2.resize(smooth, (32, 32), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(made.frames[0] - means).max() <= 2
    assert np.abs(made.frames[0] - means).mean() < 0.5


def test_a_dark_episode_keeps_the_range_of_the_first(tmp_path: Path) -> None:
    bright, dark = log(0), log(1)
    bright["image"] = bright["image"].astype(np.float32)
    dark["image"] = np.ones_like(dark["image"], dtype=np.float32)
    first, second = read(npz_zip(tmp_path / "a.zip", [bright, dark]))
    assert first.frames.max() == 255
    assert second.frames.max() == 1


@pytest.mark.parametrize(
    ("image", "code", "words"),
    [
        (np.zeros((6, 16, 16, 4), np.uint8), "wrong_shape", "not that of images"),
        (np.zeros((6, 5)), "wrong_shape", "not that of images"),
        (np.full((6, 16, 16, 3), 300), "pixel_range", "frame 0 holds values 300"),
        (np.full((6, 16, 16, 3), -0.5), "pixel_range", "-0.5"),
        (np.full((6, 16, 16, 3), np.nan), "not_finite", "frame 0"),
        (np.full((6, 16, 16, 3), "x"), "object_array", "<U1"),
    ],
)
def test_what_is_no_image_is_refused(
    tmp_path: Path, image: np.ndarray, code: str, words: str
) -> None:
    with pytest.raises(EpisodeError, match=words) as caught:
        frames_of(tmp_path, image)
    assert caught.value.code == code


def test_frames_that_models_cannot_use_ask_for_a_size(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="set image_size"):
        frames_of(tmp_path, np.zeros((6, 12, 16, 3), np.uint8))


@pytest.mark.parametrize(
    ("success", "expected"),
    [
        ([0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1]),
        ([0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1]),
        (1, [0, 0, 0, 0, 0, 1]),
    ],
)
def test_success_is_per_frame_per_step_or_per_episode(
    tmp_path: Path, success: Any, expected: list[int]
) -> None:
    one = read_one(tmp_path, success=np.array(success))
    assert one.success is not None
    assert one.success.tolist() == expected


def test_meta_json_tells_rate_kind_and_task(tmp_path: Path) -> None:
    meta = {"fps": 30, "action_kind": "absolute", "task": "push_t", "robot": "mine"}
    path = npz_zip(tmp_path / "a.zip", [log(0)], meta=meta)  # type: ignore[arg-type]
    with closing(open_logs(path)) as reader:
        assert (reader.meta.fps, reader.meta.action_kind) == (30, "absolute")
        assert reader.meta.task == "push_t"


@pytest.mark.parametrize("meta", [{"fps": 0}, {"action_kind": "velocity"}, [1]])
def test_a_wrong_meta_json_is_named(tmp_path: Path, meta: Any) -> None:
    path = npz_zip(tmp_path / "a.zip", [log(0)], meta=meta)
    with pytest.raises(LogError, match=r"logs/meta\.json is not valid"):
        open_logs(path)


def test_detection_says_why(tmp_path: Path) -> None:
    found = detect(npz_zip(tmp_path / "a.zip", [log(0), log(1)]))
    assert found.format == "npz"
    assert found.reasons == {"npz": "2 npz files"}


def test_what_was_not_found_is_listed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert detect(tmp_path / "a.zip").format is None
    with pytest.raises(LogError, match=r"npz: no npz files.*zarr: no zarr store"):
        open_logs(tmp_path / "a.zip")
    path = npz_zip(tmp_path / "b.zip", [log(0)])
    with pytest.raises(LogError, match="cannot be read as zarr"):
        open_logs(path, format="zarr")


def test_unused_arrays_may_be_anything(tmp_path: Path) -> None:
    arrays: Arrays = log(0) | {"info": np.array([{"a": 1}], dtype=object)}
    (tmp_path / "a.npz").write_bytes(npz_bytes(arrays))
    assert len(read(tmp_path / "a.npz")) == 1
