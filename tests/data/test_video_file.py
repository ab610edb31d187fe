"""Frames of a video by their time: right for any order of times and any place of key frames."""

import io
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from threading import Lock

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.episode import EpisodeError
from core.data.readers import video_ahead
from core.data.readers.video_decoder import Decoder, SharedFile
from core.data.readers.video_file import Video
from tests.data.lerobot_makers import coded, numbers_of
from tests.data.videos import encoded

LENGTH, RATE = 400, 10
SLACK = 0.5 / RATE
KINDS = {
    "two": {"g": "2"},
    "twelve": {"g": "12", "bf": "3"},
    "open": {"x264-params": "keyint=24:open-gop=1:bframes=3:b-adapt=0:scenecut=0"},
    "one": {"g": "9999", "sc_threshold": "0"},
    "av1": {"g": "20"},
}
INDEXED = sorted(KINDS.keys() - {"one"})


@cache
def video_of(kind: str) -> bytes:
    """Frame n, shown at n / 10 s, spells n."""
    codec = "libsvtav1" if kind == "av1" else "libx264"
    frames = np.stack([coded(n, 64) for n in range(LENGTH)])
    return encoded(frames, RATE, codec, options=KINDS[kind])


def read(data: bytes, numbers: Sequence[int]) -> list[int]:
    """What the frames at the times of these numbers spell."""
    with closing(Video(io.BytesIO(data), "a.mp4")) as video:
        return numbers_of(video.read(np.array(numbers) / RATE, SLACK))


def decoder(data: bytes) -> Decoder:
    return Decoder(SharedFile(io.BytesIO(data), Lock()))


def unmarked(data: bytes) -> bytes:
    """The same without the box that names key frames: all frames pass for some."""
    assert data.count(b"stss") == 1
    return data.replace(b"stss", b"free")


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with three, and with videos that are long enough for them."""
    monkeypatch.setattr(video_ahead, "cores", lambda: 3)
    monkeypatch.setattr(video_ahead, "_LEAST_PIXELS", 0)


@pytest.mark.parametrize("kind", KINDS)
def test_all_frames_come_in_order(kind: str) -> None:
    assert read(video_of(kind), range(LENGTH)) == [*range(LENGTH)]


@pytest.mark.parametrize("kind", INDEXED)
def test_segments_begin_with_key_frames(kind: str) -> None:
    found = decoder(video_of(kind))
    starts = video_ahead.segment_starts(found, 512)
    assert starts[0] == -np.inf
    assert 3 <= len(starts) <= LENGTH / 96 + 1
    assert set(starts[1:]) <= set(found.keys)


@given(
    kind=st.sampled_from(sorted(KINDS)),
    reads=st.lists(
        st.one_of(
            st.lists(st.integers(0, LENGTH - 1), min_size=1, max_size=40),
            st.tuples(st.integers(0, LENGTH - 60), st.integers(17, 60), st.integers(1, 40)).map(
                lambda r: list(range(r[0], min(LENGTH, r[0] + r[1] * r[2]), r[2]))
            ),
        ),
        min_size=1,
        max_size=6,
    ),
    early=st.sampled_from([0.0, 3e-5, -3e-5, 0.02]),
)
def test_any_frames_are_found_in_any_order(kind: str, reads: list[list[int]], early: float) -> None:
    with closing(Video(io.BytesIO(video_of(kind)), "a.mp4")) as video:
        for numbers in reads:
            found = video.read(np.array(numbers) / RATE - early, SLACK)
            assert numbers_of(found) == numbers


def test_a_video_that_names_wrong_key_frames_is_read_all_the_same() -> None:
    data = unmarked(video_of("twelve"))
    assert len(decoder(data).keys) == LENGTH
    assert read(data, range(LENGTH)) == [*range(LENGTH)]
    assert read(data, [390, 5, *range(100, 300, 20)]) == [390, 5, *range(100, 300, 20)]


def test_frames_before_damage_are_read_and_those_behind_the_next_key_frame() -> None:
    """Zeros in the packet of frame 150: a whole segment must not be lost for it."""
    data = bytearray(video_of("two"))
    with av.open(io.BytesIO(bytes(data))) as container:
        entry = container.streams.video[0].index_entries[150]
    data[entry.pos : entry.pos + entry.size] = bytes(entry.size)
    broken = bytes(data)
    with closing(Video(io.BytesIO(broken), "a.mp4")) as video:
        assert numbers_of(video.read(np.arange(100, 140) / RATE, SLACK)) == [*range(100, 140)]
        with pytest.raises(EpisodeError):
            video.read(np.arange(130, 170) / RATE, SLACK)
        assert numbers_of(video.read(np.arange(160, 190) / RATE, SLACK)) == [*range(160, 190)]


@pytest.mark.parametrize("time", [-1.0, LENGTH / RATE + 1, np.nan, np.inf])
def test_a_time_without_a_frame_is_named(time: float) -> None:
    with closing(Video(io.BytesIO(video_of("two")), "a.mp4")) as video:
        for times in ([time], [*np.arange(30) / RATE, time]):
            with pytest.raises(EpisodeError, match=r"a\.mp4"):
                video.read(np.array(times), SLACK)


def test_no_more_frames_are_held_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though by its average rate a segment of this video has fewer."""
    monkeypatch.setattr(video_ahead, "_HELD_BYTES", 5 * 100 * 64 * 64 * 1.5)
    first = decoder(video_of("two"))
    first.rate, first.frames = RATE / 4, LENGTH // 4
    ahead = video_ahead.AheadDecoder(first, lambda: decoder(video_of("two")))
    with closing(ahead):
        for n in range(LENGTH):
            shown = ahead.nearest(n / RATE)
            assert shown is not None
            assert shown.time == pytest.approx(n / RATE)
            assert max(len(s.result()) for s in ahead._segments.values()) <= 101
