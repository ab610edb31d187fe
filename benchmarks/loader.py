"""Windows per second: the memory-mapped dataset against the HDF5 file that it was made of.

    python -m benchmarks.loader --home .foglab [--seeds 0 1 2] [--batches 200]

`--episodes` episodes of 200 frames of 64 x 64 pixels are written as robomimic writes them (frames in
one piece, in chunks of one frame, or in gzipped chunks of 8 frames) and ingested by the service's own
stage. Then the same windows of 8 frames and actions, in batches of 64 drawn uniformly, are copied out
of both, turn by turn, one thread each, everything in the page cache. The HDF5 arrays stay open
between reads, so that only reading counts. Both copies are compared once, byte by byte.

`windows_per_second` is by the clock on the wall; `windows_per_core_second` by processor time, which a
busy machine disturbs less. `--batches` batches of each are measured; the median batch counts.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from matplotlib.figure import Figure

from benchmarks.harness import (
    Row,
    Settings,
    mean,
    measure_rows,
    parser,
    publish,
    summarise,
    work_folder,
)
from benchmarks.ingesting import Logs, ingest, moving_picture
from benchmarks.plots import COLOURS
from core.data.dataset import Dataset
from core.data.windows import Windows

NAME = "loader"
LENGTH, BATCH, SIDE, FRAMES = 8, 64, 64, 200
LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunks of a frame": {"chunks": (1, SIDE, SIDE, 3)},
    "gzip, chunks of 8": {"chunks": (8, SIDE, SIDE, 3), "compression": "gzip"},
}
FIGURES = (
    "windows_per_second",
    "windows_per_core_second",
    "hdf5_windows_per_second",
    "hdf5_windows_per_core_second",
    "times_as_fast",
    "times_as_fast_by_core_seconds",
)
Windowed = dict[str, np.ndarray]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--episodes", type=int, default=100)
    options.add_argument("--batches", type=int, default=200)
    chosen = options.parse_args()
    work = work_folder(chosen.home, NAME)
    sizes = {"episodes": chosen.episodes, "batches": chosen.batches}
    grid = [{"layout": layout, "seed": s} | sizes for layout in LAYOUTS for s in chosen.seeds]
    publish_rows(measure_rows(work, grid, partial(one_row, work)), chosen.results)


def one_row(work: Path, settings: Settings) -> dict[str, Any]:
    """Make logs of one layout, ingest them, and read windows from both."""
    scratch = work / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        source = scratch / "logs.hdf5"
        scratch.mkdir()
        write_logs(source, settings["episodes"], settings["seed"], LAYOUTS[settings["layout"]])
        dataset = ingest(Logs(source, 0.0), scratch, previews=False)
        return compare(dataset, source, settings["seed"], settings["batches"])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_logs(path: Path, episodes: int, seed: int, storage: dict[str, Any]) -> None:
    """Robomimic's layout, with frames that compress about as pictures do."""
    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        for n in range(episodes):
            demo = file.create_group(f"data/demo_{n}")
            demo["actions"] = rng.normal(size=(FRAMES, 4)).astype(np.float32)
            frames = moving_picture(FRAMES, SIDE, rng)
            demo.create_dataset("obs/agentview_image", data=frames, **storage)


def compare(dataset: Dataset, source: Path, seed: int, batches: int) -> dict[str, Any]:
    """Rates of both ways, measured turn by turn."""
    windows = Windows(dataset, "train", LENGTH, seed)
    with h5py.File(source) as file:
        places = [(e.start, *arrays_of(file, e.source)) for e in dataset.episodes]
        starts = windows.starts()
        rng = np.random.default_rng((seed, 1))
        drawn = [starts[rng.integers(len(starts), size=BATCH)] for _ in range(batches)]
        ours, theirs = windows.at, partial(from_hdf5, places)
        check_equal(ours(drawn[0]), theirs(drawn[0]))
        times = np.array([[*timed(ours, rows), *timed(theirs, rows)] for rows in drawn])
    wall, core, their_wall, their_core = BATCH / np.median(times, 0)
    return {
        "windows_per_second": wall,
        "windows_per_core_second": core,
        "hdf5_windows_per_second": their_wall,
        "hdf5_windows_per_core_second": their_core,
        "times_as_fast": wall / their_wall,
        "times_as_fast_by_core_seconds": core / their_core,
    }


def arrays_of(file: h5py.File, source: str) -> tuple[h5py.Dataset, h5py.Dataset]:
    """Frames and actions of the demo that an episode was made of."""
    demo = file[source.split(":")[1].split(",")[0]]
    return demo["obs/agentview_image"], demo["actions"]


def from_hdf5(
    places: Sequence[tuple[int, h5py.Dataset, h5py.Dataset]], rows: np.ndarray
) -> Windowed:
    """The windows that start at these rows of the dataset, read from the logs."""
    firsts = [start for start, _, _ in places]
    frames = np.empty((len(rows), LENGTH, SIDE, SIDE, 3), np.uint8)
    actions = np.empty((len(rows), LENGTH, places[0][2].shape[1]), np.float32)
    for i, row in enumerate(rows):
        first, pictures, commands = places[int(np.searchsorted(firsts, row, side="right")) - 1]
        part = np.s_[row - first : row - first + LENGTH]
        pictures.read_direct(frames, part, np.s_[i])
        commands.read_direct(actions, part, np.s_[i])
    return {"frames": frames, "actions": actions}


def check_equal(ours: Windowed, theirs: Windowed) -> None:
    """Both copies hold the same; the last action of an episode leads nowhere and is zero in ours."""
    if not np.array_equal(ours["frames"], theirs["frames"]) or not np.array_equal(
        ours["actions"][:, :-1], theirs["actions"][:, :-1]
    ):
        raise ValueError("windows of the dataset differ from those of its logs")


def timed(read: Callable[[np.ndarray], Windowed], rows: np.ndarray) -> Iterator[float]:
    """Seconds of one batch on the wall and of the processor."""
    wall, core = time.perf_counter(), time.thread_time()
    read(rows)
    yield time.perf_counter() - wall
    yield time.thread_time() - core


def publish_rows(rows: Sequence[Row], results: Path) -> Path:
    """Table and plot."""
    summary = summarise(rows, ["layout"], {name: mean(name) for name in FIGURES})
    claim = "windows come from the dataset many times as fast as from the logs"
    return publish(NAME, claim, rows, summary, partial(draw, summary=summary), results)


def draw(figure: Figure, summary: Sequence[dict[str, Any]]) -> None:
    """One pair of bars for each layout of the logs."""
    axes = figure.subplots()
    places = np.arange(len(summary))
    for i, (name, label) in enumerate((("", "dataset"), ("hdf5_", "HDF5"))):
        values = [line[f"{name}windows_per_core_second"]["mean"] for line in summary]
        axes.bar(places + 0.4 * i, values, 0.4, label=label, color=COLOURS[i])
    axes.set_xticks(places + 0.2, [line["layout"] for line in summary])
    axes.set_yscale("log")
    axes.set_ylabel("windows per second of one core")
    axes.legend()


if __name__ == "__main__":
    main()
