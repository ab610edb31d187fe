"""One pass over a bag: the times of its pictures, and its other topics as columns of numbers."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from core.data.codes import Remark
from core.data.episode import EpisodeError
from core.data.readers.bag_file import Bag
from core.data.readers.bag_numbers import leaves, row, stamp_ns
from core.data.readers.ros_messages import MessageError
from core.data.readers.timed import Stream

Clock = Literal["log", "header"]
_MOST_VALUES = 1 << 28
"""Of one topic: 2 GiB."""
_BACK_NS = 10**9
_LAST_NS = 1 << 62
"""In the year 2116."""
_APART_SECONDS = 0.05
"""Between stamping and writing, from which on it is worth a word."""


class Recorded:
    """Messages of one topic. Times are in ns; places say where its pictures lie."""

    def __init__(self, paths: Sequence[str] | None) -> None:
        self._paths = paths
        """Numbers to keep of each message; None for pictures, of which only the place is kept."""
        self._log, self._header = array("q"), array("q")
        self._places, self._values = array("q"), array("d")
        self.width = 0
        self.odd = 0
        """Messages that could not be decoded or differ in length."""

    def add(self, bag: Bag, topic: str, time: int, place: tuple[int, int], data: bytes) -> None:
        """Take in one message."""
        try:
            if not 0 <= time < _LAST_NS:
                raise MessageError("was written at no possible time")
            message = bag.decode(topic, data)
            if self._paths is not None:
                values = row(leaves(message), list(self._paths))
                self.width = self.width or len(values)
                if len(values) != self.width:
                    raise MessageError("has another number of values")
                self._values.extend(values.tolist())
        except (MessageError, KeyError, ValueError):
            self.odd += 1
            if self._paths is not None or not 0 <= time < _LAST_NS:
                return
            message = {}  # a broken picture is reported when its turn comes
        self._log.append(time)
        self._header.append(stamp_ns(message))
        self._places.extend(place)
        if len(self._values) > _MOST_VALUES:
            raise EpisodeError(
                "too_long",
                topic,
                f"has more than {_MOST_VALUES} numbers",
                fix="cut the recording, or map fewer of its numbers",
            )

    def __len__(self) -> int:
        return len(self._log)

    def times(self, clock: Clock) -> np.ndarray:
        """(M,) in ns, in the order of the file; the writer's where the sender gave none."""
        log = np.frombuffer(self._log, np.int64)
        header = np.frombuffer(self._header, np.int64)
        return np.asarray(np.where(header > 0, header, log) if clock == "header" else log)

    def order(self, clock: Clock) -> np.ndarray:
        """Rows by rising time."""
        return np.argsort(self.times(clock), kind="stable")

    def places(self, clock: Clock) -> np.ndarray:
        """(M, 2) by rising time."""
        found: np.ndarray = np.frombuffer(self._places, np.int64).reshape(-1, 2)
        return np.asarray(found[self.order(clock)])

    def stream(self, clock: Clock, zero_ns: int) -> Stream:
        """Values by rising time, in seconds after `zero_ns`."""
        order = self.order(clock)
        values: np.ndarray = np.frombuffer(self._values, np.float64).reshape(-1, self.width)
        return Stream((self.times(clock)[order] - zero_ns) / 1e9, values[order])

    def remarks(self, file: str, topic: str) -> Iterator[Remark]:
        """What is odd about its clocks and messages."""
        log, header = self.times("log"), self.times("header")
        back = np.flatnonzero(np.diff(log) < -_BACK_NS)
        if len(back):
            at = int(back[0]) + 1
            yield Remark(
                "time_backward",
                f"topic {topic}: the clock goes back {(log[at - 1] - log[at]) / 1e9:.1f} s at "
                f"message {at}; messages are sorted by time",
                "check the clock of the recorder",
                file=file,
                frame=at,
            )
        late = np.where(header > 0, log - header, 0) / 1e9
        usual = float(np.median(late)) if len(late) else 0.0
        most = int(np.argmax(np.abs(late))) if len(late) else 0
        if len(late) and abs(late[most]) > _APART_SECONDS:
            yield Remark(
                "clock_skew",
                f"topic {topic}: messages were written {1000 * usual:.0f} ms after they were "
                f"stamped (median), {1000 * late[most]:.0f} ms at message {most}",
                "set bag_clock to 'header' to go by the stamps, if all topics share one clock",
                file=file,
                frame=most,
            )
        if self.odd:
            yield Remark(
                "unreadable",
                f"topic {topic}: {self.odd} messages cannot be decoded or differ in length from "
                "the first one",
                "check the recorder; numbers of these messages are left out",
                file=file,
            )


def record(bag: Bag, wanted: Mapping[str, Sequence[str] | None]) -> dict[str, Recorded]:
    """Everything of the topics in `wanted`: topic to the paths of its numbers, None for pictures."""
    found = {topic: Recorded(paths) for topic, paths in wanted.items()}
    for stamp in bag.scan(wanted):
        found[stamp.topic].add(bag, stamp.topic, stamp.time, stamp.place, stamp.data)
    return found


def cuts(times: np.ndarray, gap_seconds: float, marks: np.ndarray) -> list[tuple[int, int]]:
    """Row ranges between gaps and at marks; `times` (M,) and `marks` are in ns, rising."""
    ends = set((np.flatnonzero(np.diff(times) > gap_seconds * 1e9) + 1).tolist())
    ends |= set(np.searchsorted(times, marks).tolist())
    edges = [0, *sorted(e for e in ends if 0 < e < len(times)), len(times)]
    return [(a, b) for a, b in pairwise(edges) if b > a]
