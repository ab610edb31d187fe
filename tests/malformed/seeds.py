"""Small whole logs of every format, as bytes, to be damaged; and tools to damage them with."""

import io
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tests.data import bags, hdf5_makers, lerobot_makers
from tests.data.makers import log, npz_bytes, npz_zip, per_frame, zarr_folder, zipped
from tests.data.test_beside import actions, pictures, shots, table, video

_RLDS = Path(__file__).parents[1] / "data/rlds.zip"
EPISODES = 3
FRAMES = 12


@dataclass(frozen=True)
class Case:
    """One upload: what the client says of it, and its bytes."""

    filename: str
    data: bytes
    size: int | None = None
    """Bytes that are announced, if not their number."""
    sha256: str | None = None
    """Checksum that is announced; None: none."""


Kind = Callable[[np.random.Generator, int], Case]
"""Makes the n-th case of a kind."""


@cache
def seeds() -> dict[str, tuple[str, bytes]]:
    """By format: a file name, and an upload that is read without a finding of severity error."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        return {
            "npz": ("logs.zip", npz_zip(top / "npz", logs()).read_bytes()),
            "hdf5": ("logs.hdf5", hdf5_makers.robomimic(top / "hdf5", logs()).read_bytes()),
            "zarr": ("logs.zarr.zip", _folder(top / "zarr", _zarr)),
            "lerobot": ("logs.zip", _folder(top / "lerobot", _lerobot)),
            "video": ("logs.zip", _folder(top / "video", _videos)),
            "frames": ("logs.zip", _folder(top / "frames", _frames)),
            "mcap": ("drive.mcap", bags.ros2_mcap(top / "mcap", _drives()).read_bytes()),
            "ros1": ("drive.bag", bags.ros1_bag(top / "ros1", _drives(), "LZ4").read_bytes()),
            "ros2": ("drive.db3", _db3(top / "ros2")),
            "rlds": ("logs.zip", _RLDS.read_bytes()),
        }


def whole_cases(kind: str) -> Iterator[tuple[str, int, Case]]:
    """All of them as cases of a kind."""
    yield from ((kind, n, Case(*one)) for n, one in enumerate(seeds().values()))


def seed(format: str) -> bytes:
    """The bytes of one of them."""
    return seeds()[format][1]


def turn(n: int) -> tuple[str, bytes]:
    """File name and bytes of the n-th, round and round."""
    return list(seeds().values())[n % len(seeds())]


def logs() -> list[dict[str, np.ndarray]]:
    return [log(n, FRAMES) for n in range(EPISODES)]


def entries(archive: bytes) -> dict[str, bytes]:
    """Files of a zip by name."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {n: opened.read(n) for n in opened.namelist()}


def packed(
    files: Mapping[str, bytes] | list[tuple[str | zipfile.ZipInfo, bytes]],
    method: int = zipfile.ZIP_STORED,
) -> bytes:
    """A zip of files; a list may hold a name twice."""
    buffer = io.BytesIO()
    pairs = list(files.items()) if isinstance(files, Mapping) else files
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that come twice
        for name, data in pairs:
            if isinstance(name, zipfile.ZipInfo):
                name.compress_type = method
            archive.writestr(name, data)
    return buffer.getvalue()


def with_first(format: str, suffix: str, change: Callable[[bytes], bytes]) -> Case:
    """A zip of a format whose first file of a kind is changed."""
    name, archive = seeds()[format]
    files = entries(archive)
    first = next(n for n in sorted(files) if n.endswith(suffix))
    files[first] = change(files[first])
    return Case(name, packed(files))


def npz_case(**changes: object) -> Case:
    """Whole npz episodes but for the first one."""
    first = npz_bytes(log(0, FRAMES, **changes))
    return npz_of(first)


def npz_of(first: bytes) -> Case:
    rest = {f"logs/ep_{n}.npz": npz_bytes(log(n, FRAMES)) for n in (1, 2)}
    return Case("logs.zip", packed({"logs/ep_0.npz": first, **rest}))


def flipped(data: bytes, rng: np.random.Generator, start: int, stop: int, count: int) -> bytes:
    """Random bytes at random places of a range."""
    changed = bytearray(data)
    for at in rng.integers(start, max(start + 1, min(stop, len(data))), count):
        changed[at] = rng.integers(256)
    return bytes(changed)


def _folder(folder: Path, write: Callable[[Path], object]) -> bytes:
    write(folder)
    return zipped(folder, folder.with_suffix(".zip")).read_bytes()


def _zarr(folder: Path) -> None:
    zarr_folder(folder, [per_frame(n, FRAMES) for n in range(EPISODES)])


def _lerobot(folder: Path) -> None:
    lerobot_makers.write_v3(folder, lerobot_makers.recorded((6, 9, 5)), images=True)


def _videos(folder: Path) -> None:
    for n in range(EPISODES):
        video(folder / f"ep_{n}.mp4", shots(n))
        table(folder / f"ep_{n}.csv", actions(n, FRAMES))


def _frames(folder: Path) -> None:
    for n in range(EPISODES):
        pictures(folder / f"ep_{n}", shots(n))
        table(folder / f"ep_{n}.json", actions(n, FRAMES))


def _drives() -> list[bags.Line]:
    return [line for n in range(EPISODES) for line in bags.drive(20.0 * n, seed=n)]


def _db3(folder: Path) -> bytes:
    bags.ros2_bag(folder, _drives())
    return next(folder.glob("*.db3")).read_bytes()
