"""One mp4 per episode and camera, with its actions in a CSV or JSON table of the same name."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

import av
import numpy as np

from core.data.episode import EpisodeError
from core.data.readers.archive import printable
from core.data.readers.base import Field
from core.data.readers.beside import BesideReader, Pairing, Seen, tables
from core.data.readers.files import Files
from core.data.readers.video_decoder import CONTAINER
from core.data.readers.video_file import Video, VideoRows

_SUFFIXES = (".mp4", ".mov", ".m4v")
_MOST_FRAMES = 1_000_000


def recognise(files: Files) -> str | None:
    """Why these are videos with tables, or None."""
    videos, told = len(_videos(files)), len(tables(files))
    return f"{videos} videos beside {told} tables" if videos and told else None


def open_videos(path: Path, files: Files, mapping: Mapping[Field, str]) -> BesideReader:
    """Reader of videos and their tables."""
    pairing = Pairing(files)
    videos = _videos(files)
    unused = [v for v in videos if not pairing.add(str(PurePosixPath(v).with_suffix("")), (v,))]
    recordings = pairing.recordings(tables(files))
    reader = BesideReader("video", files, mapping, recordings, _opened)
    if unused:
        reader.notes.append(f"{len(unused)} videos have no table, as {printable(unused[0])}")
    return reader


def _videos(files: Files) -> list[str]:
    return [n for n in files.names if n.lower().endswith(_SUFFIXES)]


@contextmanager
def _opened(files: Files, names: tuple[str, ...]) -> Iterator[Seen]:
    name = printable(names[0])
    times = frame_times(files, names[0])
    with closing(Video(files.open(names[0]), name)) as video:
        slack = float(np.median(np.diff(times))) / 2 if len(times) > 1 else 1.0
        remarks = list(video.remarks())
        yield Seen(VideoRows(video, times, slack), times, video.codec, remarks)


def frame_times(files: Files, name: str) -> np.ndarray:
    """(N,) seconds of all frames in the order in which they are shown, without decoding any."""
    label = printable(name)
    stamps = []
    try:
        with files.open(name) as file, av.open(file, mode="r", format=CONTAINER) as container:
            stream = container.streams.video[0]
            for packet in container.demux(stream):
                if packet.pts is not None and not packet.is_discard:
                    stamps.append(packet.pts)
                if len(stamps) > _MOST_FRAMES:
                    raise ValueError(f"more than {_MOST_FRAMES} frames")
            base = float(stream.time_base or 1)
    except (av.FFmpegError, OSError, ValueError, IndexError, TypeError) as error:
        raise EpisodeError(
            "truncated" if "moov" in str(error) or "Invalid data" in str(error) else "unreadable",
            label,
            f"is not a whole mp4 ({error})",
            fix="close the video in the recorder, or write it again as H.264 mp4",
        ) from error
    if not stamps:
        raise EpisodeError(
            "too_short", label, "holds no frames", fix="leave the episode out, or record again"
        )
    return np.sort(np.array(stamps, np.float64)) * base
