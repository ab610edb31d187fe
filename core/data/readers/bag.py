"""MCAP files and ROS 1 and ROS 2 bags: a map from topics to fields, and episodes by time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.codes import Remark
from core.data.episode import EpisodeError
from core.data.readers import bag_mcap, bag_ros1, bag_sqlite
from core.data.readers.archive import printable
from core.data.readers.bag_file import Bag
from core.data.readers.bag_pictures import BagPictures
from core.data.readers.bag_streams import Clock, Recorded, cuts, record
from core.data.readers.bag_topics import Known, surveyed, usual_keys
from core.data.readers.base import (
    Column,
    EpisodeRef,
    Field,
    Fields,
    LogError,
    LogMeta,
    RowSlice,
    find_keys,
    missing_key,
    parts,
)
from core.data.readers.files import Files
from core.data.readers.timed import Timed
from core.data.trim import Held

_SUFFIXES = (".mcap", ".bag", ".db3")
_MAGIC = (bag_mcap.MAGIC, bag_ros1.MAGIC, bag_sqlite.MAGIC)
_GAP_SECONDS = 2.0


def recognise(files: Files) -> str | None:
    """Why these are bags, or None."""
    found = _names(files)
    return f"{len(found)} bag{'s' * (len(found) > 1)} (MCAP, ROS 1 or ROS 2)" if found else None


@dataclass(frozen=True)
class _File:
    """What one pass over a file found."""

    name: str
    topics: Mapping[str, Recorded]


class BagReader:
    """Pictures stay in their file; other topics are held in memory as numbers."""

    def __init__(self, path: Path, files: Files, mapping: Mapping[Field, str]) -> None:
        self._files = files
        self._names = {printable(n): n for n in _names(files)}
        self._opened: tuple[str, Bag] | None = None
        self.format = "bag"
        self.notes: list[str | Remark] = []
        self.columns: list[Column] = []
        self.fields: dict[Field, str] = {}
        self.episodes: list[EpisodeRef] = []
        self.meta = LogMeta()
        self._known: Known = {}
        self._scanned: list[_File] = []
        self._clock: Clock = "log"
        self._places: list[tuple[_File, int, int]] = []
        try:
            self._survey(mapping)
            if not missing_key(self.fields, list(self._known), mapping):
                self._scan()
                self.split()
        except EpisodeError as error:
            self._close_bag()
            named = error.field == files.label
            raise LogError(str(error) if named else f"{files.label}: {error}") from error
        except BaseException:
            self._close_bag()
            raise

    def split(
        self, gap_seconds: float = _GAP_SECONDS, topic: str | None = None, clock: Clock = "log"
    ) -> None:
        """Cut the files into episodes: where pictures fall silent, and at messages of `topic`.

        `LogError` if there is no such topic.
        """
        self._clock = clock
        self._places = []
        self.episodes = []
        marked = False
        for file in self._scanned:
            marks, has_topic = self._marks(file, topic)
            marked |= has_topic
            times = np.sort(self._pictures(file).times(clock))
            for start, stop in cuts(times, gap_seconds, marks):
                self._places.append((file, start, stop))
                self.episodes.append(EpisodeRef(len(self.episodes), file.name, (start, stop)))
        if topic and not marked:
            raise LogError(f"{self._files.label}: no topic is called {topic!r}: {self._topics()}")

    @contextmanager
    def open(self, episode: EpisodeRef) -> Iterator[Fields]:
        file, start, stop = self._places[episode.number]
        pictures = self._pictures(file)
        ordered = np.sort(pictures.times(self._clock))[start:stop]
        zero = int(ordered[0])
        ticks = (ordered - zero) / 1e9
        key = self.fields["image"]
        places = pictures.places(self._clock)[start:stop]
        size = self._known[key].shape[:2]
        bag = self._bag(file.name)
        image = BagPictures(bag, file.name, self._known[key].topic, places, (size[0], size[1]))
        out: dict[Field, RowSlice] = {
            "image": RowSlice(image, 0, len(ticks)),
            "time": Held.slice(ticks),
        }
        for name, keys in self.fields.items():
            if name not in ("image", "time"):
                out[name] = RowSlice(self._timed(file, keys, zero, ticks), 0, len(ticks))
        yield out

    def close(self) -> None:
        self._close_bag()
        self._files.close()

    def _timed(self, file: _File, keys: str, zero: int, ticks: np.ndarray) -> Timed:
        """Values of `a, b` side by side."""
        streams = []
        for key in self._keys_of(keys):
            recorded = file.topics.get(key)
            if recorded is None or not len(recorded):
                raise EpisodeError(
                    "missing_key",
                    key,
                    f"has no messages in {file.name}",
                    fix="leave the file out, or map another topic",
                )
            streams.append(recorded.stream(self._clock, zero))
        return Timed(streams, ticks)

    def _survey(self, mapping: Mapping[Field, str]) -> None:
        """Topics of the first file that has all that is needed, else of the first."""
        broken: EpisodeError | None = None
        for name in self._names:
            try:
                known = surveyed(self._bag(name))
            except EpisodeError as error:
                broken = broken or error
                continue
            fields = find_keys(list(known), mapping, usual_keys(known))
            missing = missing_key(fields, list(known), mapping)
            if not self._known or not missing:
                self._known, self.fields = known, fields
            if not missing:
                break
        if not self._known:
            why = str(broken) if broken else "; ".join(self._remarks()) or "it has no messages"
            raise LogError(f"{self._files.label}: no topic can be read: {why}")
        self.columns = [k.column(key) for key, k in self._known.items()]
        others = [c.key for c in self.columns if c.image and c.key != self.fields.get("image")]
        if others:
            self.notes.append(f"cameras {others} are left out; to use one, map 'image' to it")
        units = {
            plural: unit
            for field, plural in (("action", "actions"), ("state", "state"))
            if (unit := self._unit(self.fields.get(field, "")))  # type: ignore[call-overload]
        }
        described: tuple[Field, ...] = ("action", "state")
        self.meta = LogMeta(
            units=units,
            names={
                f: tuple(n for k in self._keys_of(self.fields[f]) for n in self._known[k].names)
                for f in described
                if f in self.fields
            },
        )

    def _remarks(self) -> list[str]:
        """What was said about the file that is open."""
        return [r.message for r in self._opened[1].remarks] if self._opened else []

    def _unit(self, keys: str) -> str | None:
        units = [self._known[k].unit for k in self._keys_of(keys) if k in self._known]
        return units[0] if units and None not in units and len(set(units)) == 1 else None

    def _scan(self) -> None:
        """One pass over every file; a broken one is left out and reported."""
        for name in self._names:
            try:
                bag = self._bag(name)
                topics = self._recorded(bag)
            except EpisodeError as error:
                self.notes.append(_left_out(name, error))
                continue
            self.notes += bag.remarks
            for key, recorded in topics.items():
                self.notes += recorded.remarks(name, key)
            self._scanned.append(_File(name, topics))

    def _recorded(self, bag: Bag) -> dict[str, Recorded]:
        """By key. Keys of one topic are recorded in one pass."""
        wanted = [k for f, keys in self.fields.items() if f != "time" for k in self._keys_of(keys)]
        found: dict[str, Recorded] = {}
        rest = list(dict.fromkeys(wanted))
        while rest:
            now = {self._known[k].topic: k for k in reversed(rest)}
            paths = {t: self._known[k].paths for t, k in now.items()}
            found |= {now[t]: r for t, r in record(bag, paths).items()}
            rest = [k for k in rest if k not in found]
        return found

    def _pictures(self, file: _File) -> Recorded:
        return file.topics[self.fields["image"]]

    def _marks(self, file: _File, topic: str | None) -> tuple[np.ndarray, bool]:
        """Times of a topic's messages, and whether the file has it."""
        if topic is None:
            return np.empty(0, np.int64), False
        bag = self._bag(file.name)
        if topic not in bag.topics:
            return np.empty(0, np.int64), False
        found = record(bag, {topic: None})[topic]
        return np.sort(found.times(self._clock)), True

    def _topics(self) -> str:
        known = sorted({k.topic for k in self._known.values()})
        return f"choose from {known[:40]}"

    def _keys_of(self, keys: str) -> tuple[str, ...]:
        return (keys,) if keys in self._known else parts(keys)

    def _bag(self, name: str) -> Bag:
        if self._opened is None or self._opened[0] != name:
            self._close_bag()
            self._opened = (name, _open(self._files, self._names[name], name))
        return self._opened[1]

    def _close_bag(self) -> None:
        if self._opened:
            self._opened[1].close()
            self._opened = None


def _open(files: Files, entry: str, name: str) -> Bag:
    start = files.head(entry, 16)
    if start.startswith(bag_mcap.MAGIC):
        return bag_mcap.McapBag(files.open(entry), name)
    if start.startswith(bag_ros1.MAGIC):
        return bag_ros1.Ros1Bag(files.local(entry), name)
    if start.startswith(bag_sqlite.MAGIC):
        return bag_sqlite.SqliteBag(files.local(entry), name)
    raise EpisodeError(
        "unreadable",
        name,
        "is neither an MCAP file nor a ROS 1 (2.0) or ROS 2 (sqlite3) bag",
        fix="record it again, or convert it with `ros2 bag convert`",
    )


def _left_out(name: str, error: EpisodeError) -> Remark:
    return Remark(
        error.code, f"{error.field}: {error.message}", error.fix, "error", name, frame=error.frame
    )


def _names(files: Files) -> list[str]:
    found = [n for n in files.names if n.lower().endswith(_SUFFIXES)]
    if not found and len(files.names) == 1 and files.head(files.names[0], 16).startswith(_MAGIC):
        return list(files.names)
    return found
