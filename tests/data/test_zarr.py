"""Replay buffers written by the zarr library."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

from core.data.conform import Conformer
from core.data.episode import Episode
from core.data.readers import LogError, open_logs
from core.jobs.spec import IngestSpec
from tests.data.makers import UPLOAD, per_frame, zarr_folder, zipped

LOGS = [per_frame(i, length=5 + i) for i in range(3)]


def read(path: Path, **options: Any) -> list[Episode]:
    conformer = Conformer(IngestSpec(upload=UPLOAD, name="logs"))
    with closing(open_logs(path, **options)) as reader:
        episodes = []
        for ref in reader.episodes:
            with reader.open(ref) as fields:
                episodes.append(conformer.episode(fields, ref.file))
        return episodes


def assert_same(episodes: list[Episode]) -> None:
    for one, original in zip(episodes, LOGS, strict=True):
        assert (one.frames == original["image"]).all()
        assert (one.actions == original["action"][:-1]).all()
        assert one.state is not None
        assert (one.state == original["state"]).all()


CODECS = [
    None,
    numcodecs.Blosc("zstd", shuffle=2),
    numcodecs.Blosc("lz4"),
    numcodecs.Zstd(),
    numcodecs.LZ4(),
    numcodecs.Zlib(),
    numcodecs.GZip(),
]


@pytest.mark.parametrize("codec", CODECS, ids=str)
@pytest.mark.parametrize("rows", [1, 4, 100])
def test_every_codec_and_chunking_reads_the_same(
    tmp_path: Path, codec: numcodecs.abc.Codec | None, rows: int
) -> None:
    assert_same(read(zarr_folder(tmp_path / "a", LOGS, codec, rows)))


@pytest.mark.parametrize("prefix", ["", "replay.zarr/", "deep/er/replay.zarr/"])
def test_a_zip_may_hold_the_store_or_a_folder_with_it(tmp_path: Path, prefix: str) -> None:
    folder = zarr_folder(tmp_path / "a", LOGS, numcodecs.Blosc())
    assert_same(read(zipped(folder, tmp_path / "a.zarr.zip", prefix)))


def test_float_images_up_to_255_are_recognised(tmp_path: Path) -> None:
    logs = [one | {"image": one["image"].astype(np.float32)} for one in LOGS]
    assert_same(read(zarr_folder(tmp_path / "a", logs)))


def test_chunks_may_split_every_axis(tmp_path: Path) -> None:
    folder = zarr_folder(tmp_path / "a", LOGS)
    rows = np.concatenate([one["image"] for one in LOGS])
    shutil.rmtree(folder / "data/img")
    zarr.open_group(str(folder), mode="a", zarr_format=2).create_array(
        "data/img", data=rows, chunks=(4, 5, 16, 2)
    )
    assert_same(read(folder))


def test_cameras_are_found_and_others_named(tmp_path: Path) -> None:
    logs = [one | {"camera_1": one["image"][:, ::-1]} for one in LOGS]
    folder = zarr_folder(tmp_path / "a", logs, image_key="camera_0")
    assert_same(read(folder))
    with closing(open_logs(folder)) as reader:
        assert "camera_1" in reader.notes[0]
    flipped = read(folder, mapping={"image": "camera_1"})
    assert (flipped[0].frames[:, ::-1] == LOGS[0]["image"]).all()


def test_chunks_of_zeros_that_were_not_written_are_zeros(tmp_path: Path) -> None:
    logs = [one | {"action": np.zeros_like(one["action"])} for one in LOGS]
    folder = zarr_folder(tmp_path / "a", logs)
    assert not (folder / "data/action/0.0").exists()
    assert not read(folder)[0].actions.any()


def edited(array: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / array / ".zarray"
        meta = json.loads(path.read_text())
        change(meta)
        path.write_text(json.dumps(meta))

    return edit


def setting(array: str, **values: Any) -> Callable[[Path], None]:
    return edited(array, lambda meta: meta.update(values))


PICKLE = {"id": "pickle", "protocol": 5}
SHUFFLE = {"id": "shuffle", "elementsize": 4}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (setting("data/img", compressor=PICKLE), "codec 'pickle'; write it again with one of"),
        (setting("data/action", filters=[PICKLE]), "codec 'pickle'"),
        (setting("data/action", filters=[SHUFFLE, PICKLE]), "codec 'pickle'"),
        (setting("meta/episode_ends", filters=[PICKLE]), "codec 'pickle'"),
        (setting("data/img", compressor={"id": "imagecodecs_jpeg2k"}), "imagecodecs_jpeg2k"),
        (setting("data/action", dtype="|O"), "object"),
        (setting("data/action", dtype=[["a", "<f4"]]), "dtype"),
        (setting("data/img", chunks=[10**9, 16, 16, 3]), "1 GiB"),
        (setting("data/img", chunks=[4, 16, 16]), "differ in length"),
        (setting("data/img", chunks=[0, 16, 16, 3]), "chunks"),
        (setting("data/img", shape=[10**15, 16, 16, 3]), "differ in rows"),
        (setting("data/img", zarr_format=3), "zarr_format"),
        (setting("meta/episode_ends", shape=[2]), "rows after the last episode"),
        (lambda f: (f / "data/img/.zarray").write_text("[" * 10**5), "cannot be read"),
        (lambda f: (f / "data/img/.zarray").write_text(""), "cannot be read"),
        (lambda f: shutil.rmtree(f / "data/action"), "no 'action' or 'actions' among the keys"),
        (lambda f: shutil.rmtree(f / "meta/episode_ends"), "without meta/episode_ends"),
        (lambda f: (f / "data/img/0.0.0.0").unlink(), "the chunk is missing"),
        (lambda f: (f / "data/img/0.0.0.0").write_bytes(b"short"), "cannot be read"),
        (lambda f: (f / "meta/episode_ends/0").write_bytes(b""), "cannot be read"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: Callable[[Path], object], words: str) -> None:
    folder = zarr_folder(tmp_path / "a", LOGS, numcodecs.Blosc())
    damage(folder)
    if words.startswith("rows after"):
        with closing(open_logs(folder)) as reader:
            assert words in reader.notes[0]
        return
    with pytest.raises(ValueError, match=words):
        read(folder)


@pytest.mark.parametrize("codec", CODECS[1:], ids=str)
def test_a_chunk_of_another_size_is_refused(tmp_path: Path, codec: numcodecs.abc.Codec) -> None:
    folder = zarr_folder(tmp_path / "a", LOGS, codec)
    right = 4 * 16 * 16 * 3
    for size in (right - 1, right + 1, 100 * right):
        (folder / "data/img/1.0.0.0").write_bytes(bytes(codec.encode(np.zeros(size, np.uint8))))
        if size > right and codec.codec_id in ("zlib", "gzip"):
            continue  # unpacking stops at the right size
        with pytest.raises(ValueError, match=r"1\.0\.0\.0: cannot be read"):
            read(folder)


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ([5, 3, 18], "end of episode 1 at row 3"),
        ([5, 11, 99], "end of episode 2 at row 99"),
        ([-1, 11, 18], "end of episode 0 at row -1"),
    ],
)
def test_ends_that_cannot_be_are_refused(tmp_path: Path, ends: list[int], words: str) -> None:
    folder = zarr_folder(tmp_path / "a", LOGS)
    (folder / "meta/episode_ends/0").write_bytes(np.array(ends).tobytes())
    with pytest.raises(LogError, match=words):
        open_logs(folder)


def test_version_3_asks_for_version_2(tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "a"), mode="w", zarr_format=3)
    with pytest.raises(LogError, match="zarr_format=2"):
        open_logs(tmp_path / "a")
