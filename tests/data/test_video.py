"""Videos that browsers play from the first byte."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from core.data.video import read_mp4, write_mp4


def moving_square(length: int, side: int) -> np.ndarray:
    frames = np.full((length, side, side, 3), (30, 60, 200), np.uint8)
    for i, frame in enumerate(frames):
        frame[4 : 4 + side // 4, i : i + side // 4] = (240, 180, 20)
    return frames


def test_frames_come_back_enlarged_and_close(tmp_path: Path) -> None:
    frames = moving_square(20, 64)
    write_mp4(tmp_path / "a.mp4", frames, fps=10)
    read = read_mp4(tmp_path / "a.mp4")
    assert read.shape == (20, 256, 256, 3)
    error = np.abs(read[:, 2::4, 2::4].astype(int) - frames)
    assert error.mean() < 3


def test_it_is_h264_yuv420p_at_the_given_rate(tmp_path: Path) -> None:
    write_mp4(tmp_path / "a.mp4", moving_square(5, 64), fps=12.5)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == Fraction(25, 2)
        assert stream.frames == 5


def test_the_index_comes_before_the_pictures(tmp_path: Path) -> None:
    write_mp4(tmp_path / "a.mp4", moving_square(5, 64), fps=10)
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_mp4(tmp_path / name, moving_square(12, 32), fps=10)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    ("height", "width", "shape"), [(301, 257, (302, 258)), (9, 21, (262, 610))]
)
def test_sides_become_even(tmp_path: Path, height: int, width: int, shape: tuple[int, int]) -> None:
    write_mp4(tmp_path / "a.mp4", np.full((2, height, width, 3), 128, np.uint8), fps=10)
    read = read_mp4(tmp_path / "a.mp4")
    assert read.shape[1:3] == shape
    assert np.abs(read.astype(int) - 128).max() <= 1


def test_no_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="T > 0"):
        write_mp4(tmp_path / "a.mp4", np.zeros((0, 64, 64, 3), np.uint8), fps=10)
