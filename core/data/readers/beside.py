"""Pictures with a table of numbers beside them: one video or one folder per episode and camera."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import numpy as np

from core.data.codes import Remark
from core.data.episode import EpisodeError
from core.data.readers.archive import printable
from core.data.readers.base import (
    Column,
    EpisodeRef,
    Field,
    Fields,
    LogError,
    Rows,
    RowSlice,
    column,
    find_keys,
    missing_key,
)
from core.data.readers.files import Files
from core.data.readers.joined import rows_of
from core.data.readers.meta_json import NAME, read_meta
from core.data.readers.table import SUFFIXES, read_table
from core.data.trim import Held

_SURVEYED = 8
_SEPARATORS = "_-. "
LONE_CAMERA = "camera"
"""What the only camera of an episode is called."""


@dataclass(frozen=True)
class Seen:
    """The pictures of one camera in one episode."""

    rows: Rows
    times: np.ndarray | None
    """(N,) seconds, if the pictures have a clock."""
    encoding: str
    remarks: list[Remark] = field(default_factory=list)


Opener = Callable[[Files, tuple[str, ...]], AbstractContextManager[Seen]]
"""Takes the files of one camera in one episode, in order."""


@dataclass(frozen=True)
class Recording:
    """One episode: a table, and the files of every camera."""

    table: str
    cameras: Mapping[str, tuple[str, ...]]


class BesideReader:
    """Rows of a table belong to pictures by a column `frame`, by their number, or by time."""

    def __init__(
        self,
        format: str,
        files: Files,
        mapping: Mapping[Field, str],
        recordings: list[Recording],
        opener: Opener,
    ) -> None:
        if not recordings:
            raise LogError(f"{files.label}: there is no table (.csv or .json) beside the pictures")
        self.format = format
        self.meta = read_meta(files)
        self.notes: list[str | Remark] = []
        self.columns: list[Column] = []
        self.fields: dict[Field, str] = {}
        self._noted: set[tuple[str, int | None]] = set()
        self._files = files
        self._mapping = mapping
        self._recordings = recordings
        self._opener = opener
        self.episodes = [EpisodeRef(i, printable(r.table)) for i, r in enumerate(recordings)]
        self._survey()

    @contextmanager
    def open(self, episode: EpisodeRef) -> Iterator[Fields]:
        recording = self._recordings[episode.number]
        table = read_table(self._files, recording.table)
        camera = self.fields.get("image", "")
        if camera not in recording.cameras:
            raise EpisodeError(
                "missing_key",
                "image",
                f"no pictures of camera {camera!r} are named like {episode.file}",
                fix="give a video or folder the name of its table, or map 'image' to a camera",
            )
        with self._opener(self._files, recording.cameras[camera]) as seen:
            self._note(seen.remarks, episode)
            yield _joined(seen, table, self.fields)

    def close(self) -> None:
        self._files.close()

    def _survey(self) -> None:
        """Columns and keys of the first episode that has all that is needed, else of the first."""
        for recording in self._recordings[:_SURVEYED]:
            try:
                columns = self._columns(recording)
            except EpisodeError:
                continue
            keys = [c.key for c in columns]
            cameras = tuple(c.key for c in columns if c.image)
            fields = _fields(keys, cameras, self._mapping)
            missing = missing_key(fields, keys, self._mapping)
            if not self.columns or not missing:
                self.columns, self.fields = columns, fields
            if not missing:
                break
        others = [c.key for c in self.columns if c.image and c.key != self.fields.get("image")]
        if others:
            self.notes.append(f"cameras {others} are left out; to use one, map 'image' to it")

    def _note(self, remarks: list[Remark], episode: EpisodeRef) -> None:
        """Keep remarks once; what concerns all videos is said of the first one."""
        for remark in remarks:
            place = None if remark.severity == "info" else episode.number
            if (remark.code, place) not in self._noted:
                self._noted.add((remark.code, place))
                self.notes.append(replace(remark, episode=episode.number))

    def _columns(self, recording: Recording) -> list[Column]:
        table = read_table(self._files, recording.table)
        found = [column(key, Held(values)) for key, values in table.items()]
        for camera, names in recording.cameras.items():
            with self._opener(self._files, names) as seen:
                found.append(
                    Column(key=camera, shape=seen.rows.shape[1:], dtype=seen.encoding, image=True)
                )
        return found


def tables(files: Files) -> list[str]:
    """Names of all tables."""
    return [
        n
        for n in files.names
        if n.lower().endswith(SUFFIXES) and PurePosixPath(n).name not in (NAME, "metadata.json")
    ]


class Pairing:
    """Which table a video or folder of pictures belongs to, and which camera it is.

    By the same name, or one that continues it (`ep_0.csv`, `ep_0_front.mp4`); by the same name in
    the folder of a camera (`front/ep_0.mp4`); or beside a table that is alone in its folder
    (`ep_0/front.mp4`, `ep_0/actions.csv`).
    """

    def __init__(self, files: Files) -> None:
        self._by_stem: defaultdict[str, list[PurePosixPath]] = defaultdict(list)
        self._lone: dict[PurePosixPath, PurePosixPath | None] = {}
        for table in tables(files):
            path = PurePosixPath(table)
            self._by_stem[path.stem].append(path)
            self._lone[path.parent] = None if path.parent in self._lone else path
        self._found: dict[str, dict[str, tuple[str, ...]]] = {
            str(t): {} for same in self._by_stem.values() for t in same
        }

    def add(self, place: str, names: tuple[str, ...]) -> bool:
        """Give the files at a place, named without a suffix, to their table; False if none."""
        pair = self._pair(PurePosixPath(place))
        if pair is None:
            return False
        table, camera = pair
        self._found[str(table)].setdefault(camera, names)
        return True

    def recordings(self, names: Iterable[str]) -> list[Recording]:
        """All tables with their cameras, in the order of the names."""
        return [Recording(n, self._found[n]) for n in names if n in self._found]

    def _pair(self, place: PurePosixPath) -> tuple[PurePosixPath, str] | None:
        name = place.name
        ends = [len(name), *(i for i in range(len(name) - 1, 0, -1) if name[i] in _SEPARATORS)]
        for end in ends:
            rest = name[end + 1 :]
            same = [] if rest.isdigit() else self._by_stem.get(name[:end], [])
            beside = [t for t in same if t.parent == place.parent]
            if beside:
                return beside[0], rest or LONE_CAMERA
            if same:
                return same[0], rest or place.parent.name or LONE_CAMERA
        table = self._lone.get(place.parent) or self._lone.get(place)
        if table is None:
            return None
        return table, LONE_CAMERA if place == table.parent else name


def _fields(
    keys: list[str], cameras: tuple[str, ...], mapping: Mapping[Field, str]
) -> dict[Field, str]:
    found = find_keys(keys, mapping)
    if "image" not in mapping and cameras:
        found["image"] = found["image"] if found.get("image") in cameras else cameras[0]
    return found


def _joined(
    seen: Seen, table: Mapping[str, np.ndarray], chosen: Mapping[Field, str]
) -> dict[Field, RowSlice]:
    frames, times = _matched(seen, table)
    out: dict[Field, RowSlice] = {"image": frames}
    for name, key in chosen.items():
        if name != "image":
            rows = rows_of(key, table, lambda k: Held(table[k]))
            out[name] = RowSlice(rows, 0, rows.shape[0])
    if "time" not in out and times is not None:
        out["time"] = Held.slice(times)
    return out


def _matched(seen: Seen, table: Mapping[str, np.ndarray]) -> tuple[RowSlice, np.ndarray | None]:
    """The pictures that the rows of the table speak of, and their own clock."""
    count, rows = seen.rows.shape[0], len(next(iter(table.values())))
    wanted = np.arange(count)
    if "frame" in table:
        wanted = _numbered(table["frame"], count)
    elif rows not in (count, count - 1) and "time" in table and seen.times is not None:
        since = table["time"] - table["time"][0] + seen.times[0]
        after = np.searchsorted(seen.times, since).clip(1, count - 1)
        nearer = since - seen.times[after - 1] <= seen.times[after] - since
        wanted = np.where(nearer, after - 1, after)
    if len(wanted) == count and (wanted == np.arange(count)).all():
        return RowSlice(seen.rows, 0, count), seen.times
    times = None if seen.times is None else seen.times[wanted]
    return RowSlice(Chosen(seen.rows, wanted), 0, len(wanted)), times


def _numbered(frames: np.ndarray, count: int) -> np.ndarray:
    whole = np.nan_to_num(frames, nan=-1.0, posinf=-1.0, neginf=-1.0)
    wrong = np.flatnonzero((whole < 0) | (whole >= count) | (whole != whole.round()))
    if len(wrong):
        raise EpisodeError(
            "length_mismatch",
            "frame",
            f"row {wrong[0]} speaks of frame {frames[wrong[0]]:g}, and there are {count}",
            fix="count frames from 0, or leave the column out",
            frame=int(wrong[0]),
        )
    return np.asarray(whole.astype(np.int64))


class Chosen:
    """Some rows of another array, in any order."""

    def __init__(self, rows: Rows, wanted: np.ndarray) -> None:
        self._rows = rows
        self._wanted = wanted
        self.shape = (len(wanted), *rows.shape[1:])
        self.dtype = rows.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        wanted = self._wanted[start:stop].tolist()
        found = [self._rows.read(n, n + 1) for n in wanted]
        return np.concatenate(found) if found else np.empty((0, *self.shape[1:]), self.dtype)
