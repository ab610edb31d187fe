"""What bags of all kinds offer: topics, their messages in order, and any one of them again."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from core.data.codes import Remark
from core.data.readers.ros_messages import Message

MOST_CHUNK_BYTES = 256 << 20
"""Of one unpacked chunk; recorders write a few MB."""
_RATIO, _RATIO_FREE_BYTES = 200, 8 << 20


def most_unpacked(packed: int) -> int:
    """Bytes that a chunk of `packed` bytes may hold. Zeros pack ten thousand times, and make
    millions of records of nothing."""
    return min(MOST_CHUNK_BYTES, max(_RATIO_FREE_BYTES, _RATIO * packed))


@dataclass(frozen=True)
class Topic:
    """A stream of messages of one type."""

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class Stamp:
    """Where a message lies and when it was written, in ns."""

    topic: str
    time: int
    place: tuple[int, int]
    """Understood by the bag that gave it; rises with the order in the file."""
    data: bytes = field(repr=False)


class Bag(Protocol):
    """One opened file."""

    name: str
    """Fit for messages."""
    topics: dict[str, Topic]
    """By name; those whose messages cannot be decoded are left out."""
    remarks: list[Remark]
    """What is wrong with the file; grows while it is scanned."""

    def scan(self, topics: Collection[str]) -> Iterator[Stamp]:
        """All messages of some topics, in the order of the file."""

    def message(self, topic: str, place: tuple[int, int]) -> bytes:
        """One message again; cheapest in rising order. `EpisodeError` if it is damaged."""

    def decode(self, topic: str, data: bytes) -> Message:
        """Its fields; `MessageError` if it does not fit its type."""

    def close(self) -> None: ...


def no_schema(file: str, topic: str, why: str) -> Remark:
    """The remark on a topic whose messages cannot be decoded."""
    return Remark(
        "no_schema",
        f"topic {topic} is left out: {why}",
        "record it as ROS 1 or ROS 2 messages with their definition, or as JSON",
        file=file,
    )
