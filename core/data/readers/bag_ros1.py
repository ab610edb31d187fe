"""ROS 1 bags (version 2.0) through rosbags' reader, with limits on what a chunk unpacks to."""

import bz2
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import lz4.frame
from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader, ReaderError
from rosbags.rosbag1.reader import Compression, decompressors

from core.data.codes import Remark
from core.data.episode import EpisodeError
from core.data.readers.bag_file import Stamp, Topic, most_unpacked, no_schema
from core.data.readers.files import damaged
from core.data.readers.ros_messages import Message, MessageError, Types, decode, types_of

MAGIC = b"#ROSBAG V2.0\n"
_BROKEN = (
    *(ReaderError, AssertionError, ValueError, KeyError, IndexError, OSError, EOFError),
    *(RuntimeError, MemoryError, TypeError),
)


class Ros1Bag:
    """A bag under a path of its own."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.remarks: list[Remark] = []
        self.topics: dict[str, Topic] = {}
        self._types: dict[str, Types] = {}
        self._reader = Reader(path)
        try:
            self._reader.open()
        except _BROKEN as error:
            cut = "not indexed" in str(error) or "damaged" in str(error)
            raise EpisodeError(
                "truncated" if cut else "unreadable",
                name,
                f"is not a whole bag ({error})",
                fix="run `rosbag reindex` on it, or close the recorder before copying the bag",
            ) from error
        chunks = self._reader.chunks
        for place, chunk in chunks.items():
            chunks[place] = chunk._replace(decompressor=_bounded(chunk.decompressor))
        self._add_topics()
        self._cursor: tuple[str, int, Iterator[bytes]] | None = None

    def scan(self, topics: Collection[str]) -> Iterator[Stamp]:
        wanted = [c for c in self._reader.connections if c.topic in topics]
        counts = dict.fromkeys(topics, 0)
        try:
            for connection, time, data in self._reader.messages(wanted) if wanted else ():
                topic = connection.topic
                yield Stamp(topic, time, (counts[topic], 0), data)
                counts[topic] += 1
        except _BROKEN as error:
            raise damaged(self.name, error) from error

    def message(self, topic: str, place: tuple[int, int]) -> bytes:
        number = place[0]
        if self._cursor is None or self._cursor[0] != topic or self._cursor[1] > number:
            self._cursor = (topic, 0, (s.data for s in self.scan([topic])))
        _, at, messages = self._cursor
        for found in messages:
            at += 1
            if at > number:
                self._cursor = (topic, at, messages)
                return found
        raise damaged(self.name, f"message {number} of {topic} is missing")

    def decode(self, topic: str, data: bytes) -> Message:
        return decode(self._types[topic], self.topics[topic].type, data, "ros1")

    def close(self) -> None:
        self._cursor = None
        self._reader.close()

    def _add_topics(self) -> None:
        for connection in self._reader.connections:
            try:
                self._types[connection.topic] = _types(connection)
            except MessageError as error:
                self.remarks.append(no_schema(self.name, connection.topic, str(error)))
                continue
            before = self.topics.get(connection.topic)
            count = connection.msgcount + (before.count if before else 0)
            self.topics[connection.topic] = Topic(connection.topic, connection.msgtype, count)


def _types(connection: Connection) -> Types:
    return types_of(connection.msgdef.data, connection.msgtype, "msg")


def _bounded(decompressor: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """The same codec, which stops at a limit."""
    if decompressor is decompressors[Compression.BZ2.value]:
        return lambda data: bz2.BZ2Decompressor().decompress(data, most_unpacked(len(data)))
    if decompressor is decompressors[Compression.LZ4.value]:
        return lambda data: bytes(
            lz4.frame.LZ4FrameDecompressor().decompress(data, most_unpacked(len(data)))
        )
    return decompressor
