"""How quickly logs become a dataset, and how much memory that takes as they grow.

    python -m benchmarks.ingest --home .foglab [--seeds 0 1 2] [--megabytes 512] \\
        [--video-megabytes 128] [--gigabytes 1 2 4]

Speed: logs of `--megabytes` of decoded frames go through the service's own stage, checks, copies and
report included. Previews are left out: they are a dozen videos, however large the logs are. Episodes
have 200 frames; `hdf5` and `zarr` hold plain arrays of 96 x 96 pixels, `zarr blosc` packed chunks of
8 frames, `h264` a LeRobot v3.0 dataset whose 96 x 96 pixels are kept, `h264 480p` one whose 640 x 480
pixels are shrunk to 64 x 64.

- `megabytes_per_second` by the clock on the wall until all files are on the disk, and
  `share_of_disk` of the rate at which as many bytes are written and synced in the same run;
- `megabytes_per_core_second` by processor time, which a busy machine disturbs less;
- `share_of_decoding` for videos: of PyAV's own rate by processor time, decoding alone, by one
  thread or many, whichever takes less; `share_of_pictures`: decoding and converting to RGB;
  `share_of_decoding_by_the_clock`: of PyAV's rate on the wall.

Whatever is timed is done three times, one way after the other, and the least counts: a machine with
other guests takes up to a third longer at times.

Memory: the greatest resident size of a process that ingests `--gigabytes`, with a line through all
sizes and seeds that tells it at 50 GB. Logs are deleted as soon as they are measured.
"""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from matplotlib.figure import Figure

from benchmarks.harness import (
    Row,
    Settings,
    Summary,
    mean,
    measure_rows,
    parser,
    publish,
    summarise,
    work_folder,
)
from benchmarks.ingesting import SOURCES, Logs, ingest, peak_megabytes, write_logs
from benchmarks.plots import COLOURS
from core.artifacts import sync

NAME, TIMES = "ingest", 3
FAR_GIGABYTES = 50
MEASURED = ("hdf5", "zarr")
"""Sources whose memory is measured."""
SPEED = (
    "megabytes_per_second",
    "share_of_disk",
    "megabytes_per_core_second",
    "share_of_decoding",
    "share_of_pictures",
    "share_of_decoding_by_the_clock",
)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    options.add_argument("--sources", nargs="+", choices=SOURCES, default=[*SOURCES])
    options.add_argument("--megabytes", type=int, default=512)
    options.add_argument("--video-megabytes", type=int, default=128, help="slow to write")
    options.add_argument("--gigabytes", type=float, nargs="*", default=[1, 2, 4])
    chosen = options.parse_args()
    work = work_folder(chosen.home, NAME)
    sizes = {s: chosen.video_megabytes if "h264" in s else chosen.megabytes for s in SOURCES}
    speed = [
        {"what": "speed", "source": source, "megabytes": sizes[source], "seed": seed}
        for source in chosen.sources
        for seed in chosen.seeds
    ]
    memory = [
        {"what": "memory", "source": source, "megabytes": round(1000 * size), "seed": seed}
        for source in MEASURED
        for size in chosen.gigabytes
        for seed in chosen.seeds or [0]
    ]
    publish_rows(measure_rows(work, [*speed, *memory], partial(one_row, work)), chosen.results)


def one_row(work: Path, settings: Settings) -> dict[str, Any]:
    """Make logs, ingest them and delete both."""
    scratch = work / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        logs = write_logs(scratch, settings["source"], settings["megabytes"], settings["seed"])
        if settings["what"] == "memory":
            return {
                "decoded_megabytes": logs.megabytes,
                "peak_megabytes": peak_megabytes(logs, scratch),
            }
        return speed_of(logs, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class Spent(NamedTuple):
    """Seconds on the wall, and of the processor by all threads."""

    wall: float
    core: float


def spent(do: Callable[[], object]) -> Spent:
    """What a call takes."""
    wall, core = time.perf_counter(), time.process_time()
    do()
    return Spent(time.perf_counter() - wall, time.process_time() - core)


def least(ways: Sequence[Callable[[], object]]) -> Spent:
    """The least that any of several ways takes, on the wall and of the processor."""
    found = [spent(do) for _ in range(TIMES) for do in ways]
    return Spent(min(f.wall for f in found), min(f.core for f in found))


def speed_of(logs: Logs, scratch: Path) -> dict[str, Any]:
    """Rates of an ingest, with the disk's."""
    sync(logs.path)
    ours = least([partial(ingest_synced, logs, scratch)])
    plain = least([partial(write_synced, scratch / "plain", logs.megabytes)])
    disk = logs.megabytes / plain.wall
    rates = {
        "decoded_megabytes": logs.megabytes,
        "megabytes_per_second": logs.megabytes / ours.wall,
        "megabytes_per_core_second": logs.megabytes / ours.core,
        "disk_megabytes_per_second": disk,
        "share_of_disk": logs.megabytes / ours.wall / disk,
    }
    if logs.videos:
        plain, pictures = (
            least([partial(decode, logs.videos, rgb, threads) for threads in ("NONE", "AUTO")])
            for rgb in (False, True)
        )
        rates |= {
            "share_of_decoding": plain.core / ours.core,
            "share_of_pictures": pictures.core / ours.core,
            "share_of_decoding_by_the_clock": plain.wall / ours.wall,
        }
    return rates


def ingest_synced(logs: Logs, scratch: Path) -> None:
    """A dataset of the logs, until it is on the disk, in a home of its own."""
    sync_all(ingest(logs, Path(mkdtemp(dir=scratch)), previews=False).path)


def write_synced(path: Path, megabytes: float) -> None:
    """Write that many bytes in pieces of 8 MB until they are on the disk, and delete them."""
    piece = np.random.default_rng(0).bytes(8_000_000)
    with path.open("wb") as file:
        for _ in range(round(megabytes / 8)):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def sync_all(folder: Path) -> None:
    """Until a dataset's files are on the disk."""
    for path in folder.iterdir():
        sync(path)


def decode(videos: Sequence[Path], rgb: bool, threads: str) -> None:
    """All frames by PyAV alone, with one converter for all where colours are wanted."""
    colors = VideoReformatter()
    for path in videos:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = threads
            for frame in container.decode(video=0):
                if rgb:
                    colors.reformat(frame, format="rgb24", threads=1).to_ndarray()


def publish_rows(rows: Sequence[Row], results: Path) -> Path:
    """Table of speeds, memory with its line, plot of memory."""
    speed = [r for r in rows if r["what"] == "speed"]
    memory = [r for r in rows if r["what"] == "memory"]
    summary: Summary = []
    for some in _grouped(speed).values():
        made = [n for n in SPEED if n in some[0].values]
        figures = summarise(some, ["source"], {n: mean(n) for n in made})
        summary += [dict.fromkeys(("source", "seeds", *SPEED)) | line for line in figures]
    lines = [line_of(source, some) for source, some in _grouped(memory).items()]
    claim = "logs become datasets quickly, in memory that hardly grows with them"
    draw = partial(draw_memory, lines=lines)
    told = summary or [{k: v for k, v in line.items() if np.ndim(v) == 0} for line in lines]
    return publish(NAME, claim, rows, told, draw, results, {"memory": lines})


def _grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["source"], []).append(row)
    return found


def line_of(source: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Least squares through the peaks, and what the line says at 50 GB."""
    sizes = np.array([r["decoded_megabytes"] / 1000 for r in rows])
    peaks = np.array([r["peak_megabytes"] for r in rows])
    slope, start = np.polyfit(sizes, peaks, 1) if len(rows) > 1 else (0.0, float(peaks[0]))
    return {
        "source": source,
        "gigabytes": sizes,
        "peak_megabytes": peaks,
        "megabytes_per_gigabyte": float(slope),
        f"peak_megabytes_at_{FAR_GIGABYTES}_gb": float(start + slope * FAR_GIGABYTES),
    }


def draw_memory(figure: Figure, lines: Sequence[dict[str, Any]]) -> None:
    """Peaks by size, and their lines."""
    axes = figure.subplots()
    for line, colour in zip(lines, COLOURS, strict=False):
        ends = np.array([0, FAR_GIGABYTES])
        start = line[f"peak_megabytes_at_{FAR_GIGABYTES}_gb"] - (
            line["megabytes_per_gigabyte"] * FAR_GIGABYTES
        )
        axes.plot(line["gigabytes"], line["peak_megabytes"], "o", color=colour)
        axes.plot(
            ends, start + ends * line["megabytes_per_gigabyte"], color=colour, label=line["source"]
        )
    axes.set_xlabel("gigabytes of frames")
    axes.set_ylabel("peak resident megabytes")
    axes.set_ylim(0, None)
    if lines:
        axes.legend()


if __name__ == "__main__":
    main()
