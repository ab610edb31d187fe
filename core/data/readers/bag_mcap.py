"""MCAP files, read chunk by chunk; a file without an end is read as far as it goes."""

import io
import json
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from typing import IO

import lz4.frame
import zstandard
from mcap.exceptions import McapError
from mcap.reader import SeekingReader
from mcap.records import Channel, Chunk, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk
from mcap.summary import Summary

from core.data.codes import Remark
from core.data.episode import EpisodeError
from core.data.readers.bag_file import MOST_CHUNK_BYTES, Stamp, Topic, most_unpacked, no_schema
from core.data.readers.files import damaged
from core.data.readers.ros_messages import Message as Fields
from core.data.readers.ros_messages import MessageError, Types, decode, types_of

MAGIC = b"\x89MCAP0\r\n"
_MOST_TOPICS = 10_000
_BROKEN = (
    *(McapError, struct.error, zlib.error, zstandard.ZstdError, EOFError, OSError),
    *(ValueError, RuntimeError, KeyError, IndexError, MemoryError),
)
"""What damaged files raise."""
_LANGUAGES = {"ros2msg": "msg", "ros1msg": "msg", "ros2idl": "idl"}


class McapBag:
    """Closes the stream that it was given."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = _Clamped(file)
        self.name = name
        self.remarks: list[Remark] = []
        self.topics: dict[str, Topic] = {}
        self._channels: dict[int, Channel] = {}
        self._schemas: dict[int, Schema] = {}
        self._types: dict[str, tuple[Types, str] | None] = {}
        self._chunk: tuple[int, list[McapRecord]] | None = None
        self._find_topics()

    def scan(self, topics: Collection[str]) -> Iterator[Stamp]:
        for offset, records in self._blocks():
            for i, record in enumerate(records):
                if isinstance(record, Message):
                    channel = self._channels.get(record.channel_id)
                    if channel is not None and channel.topic in topics:
                        yield Stamp(channel.topic, record.log_time, (offset, i), record.data)

    def message(self, topic: str, place: tuple[int, int]) -> bytes:
        offset, i = place
        try:
            if self._chunk is None or self._chunk[0] != offset:
                self._file.seek(offset)
                record = next(self._records(skip_magic=True))
                self._chunk = (offset, _unpacked(record))
            found = self._chunk[1][i]
        except (*_BROKEN, StopIteration) as error:
            raise damaged(self.name, error) from error
        assert isinstance(found, Message)
        return bytes(found.data)

    def decode(self, topic: str, data: bytes) -> Fields:
        known = self._types[topic]
        if known is None:
            try:
                found = json.loads(data)
            except (ValueError, RecursionError) as error:
                raise MessageError(f"is not JSON ({error})") from error
            if not isinstance(found, dict):
                raise MessageError("is not a JSON object")
            return found
        types, wire = known
        return decode(types, self.topics[topic].type, data, "ros1" if wire == "ros1" else "cdr")

    def close(self) -> None:
        self._file.close()

    def _find_topics(self) -> None:
        summary = self._summary()
        if summary and summary.statistics and summary.channels:
            self._schemas, self._channels = summary.schemas, summary.channels
            counts = summary.statistics.channel_message_counts
        else:
            counts = self._counted()
        if len(self._channels) > _MOST_TOPICS:
            raise EpisodeError(
                "unreadable", self.name, "has too many topics", fix="split the recording"
            )
        for channel in self._channels.values():
            self._add_topic(channel, counts.get(channel.id, 0))

    def _summary(self) -> Summary | None:
        """The index at the end, which a recorder that was killed has not written."""
        try:
            return SeekingReader(
                self._file,  # type: ignore[arg-type]
                record_size_limit=MOST_CHUNK_BYTES,
            ).get_summary()
        except (*_BROKEN, StopIteration):
            return None

    def _counted(self) -> Counter[int]:
        """Messages of each channel, by a pass over all records; notes channels and schemas."""
        counts: Counter[int] = Counter()
        for _, records in self._blocks():
            for record in records:
                if isinstance(record, Schema):
                    self._schemas[record.id] = record
                elif isinstance(record, Channel):
                    self._channels[record.id] = record
                elif isinstance(record, Message):
                    counts[record.channel_id] += 1
        return counts

    def _add_topic(self, channel: Channel, count: int) -> None:
        schema = self._schemas.get(channel.schema_id)
        encoding = channel.message_encoding
        try:
            if encoding == "json":
                self._types[channel.topic] = None
            elif schema is None or schema.encoding not in _LANGUAGES:
                told = schema.encoding if schema else "no schema"
                raise MessageError(f"messages are {encoding} with {told or 'an empty schema'}")
            else:
                language = _LANGUAGES[schema.encoding]
                text = schema.data.decode("utf-8", "replace")
                types = types_of(text, schema.name, "idl" if language == "idl" else "msg")
                self._types[channel.topic] = (types, encoding)
        except MessageError as error:
            self.remarks.append(no_schema(self.name, channel.topic, str(error)))
            return
        before = self.topics.get(channel.topic)
        total = count + (before.count if before else 0)
        self.topics[channel.topic] = Topic(channel.topic, schema.name if schema else "", total)

    def _blocks(self) -> Iterator[tuple[int, list[McapRecord]]]:
        """Offset and records of every chunk, and of every record outside of chunks."""
        self._file.seek(0)
        found = 0
        offset = len(MAGIC)
        try:
            for record in self._records(skip_magic=False):
                found += 1
                after = self._file.tell()
                if isinstance(record, Chunk | Message | Schema | Channel):
                    yield offset, _unpacked(record)
                    self._file.seek(after)  # whoever took it may have read elsewhere
                offset = after
        except _BROKEN as error:
            if not found:
                raise EpisodeError(
                    "unreadable",
                    self.name,
                    f"is not an MCAP file ({error})",
                    fix="record it again",
                ) from error
            self._say_cut(error)

    def _records(self, *, skip_magic: bool) -> Iterator[McapRecord]:
        return StreamReader(
            self._file,  # type: ignore[arg-type]
            skip_magic=skip_magic,
            emit_chunks=True,
            record_size_limit=MOST_CHUNK_BYTES,
        ).records

    def _say_cut(self, error: Exception) -> None:
        remark = Remark(
            "truncated",
            f"the file ends early or is damaged ({type(error).__name__}: {error}); what comes "
            "before that is used",
            "close the recorder before copying the file, or repair it with `mcap recover`",
            file=self.name,
        )
        if remark not in self.remarks:
            self.remarks.append(remark)


def _unpacked(record: McapRecord) -> list[McapRecord]:
    """The records of a chunk, or the record itself. Never unpacks more than the chunk says."""
    if not isinstance(record, Chunk):
        return [record]
    size = record.uncompressed_size
    if size > most_unpacked(len(record.data)):
        raise ValueError(f"a chunk of {len(record.data)} bytes says that it holds {size}")
    data = _DECOMPRESS[record.compression](record.data, size)
    if len(data) != size:
        raise ValueError("a chunk does not hold what it says")
    if record.uncompressed_crc and zlib.crc32(data) != record.uncompressed_crc:
        raise ValueError("a chunk has a wrong checksum")
    plain = Chunk("", data, record.message_end_time, record.message_start_time, 0, size)
    return breakup_chunk(plain)


class _Clamped:
    """A file that never promises memory for more bytes than it has."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        self.seek, self.tell, self.close = file.seek, file.tell, file.close
        self.seek(0)

    def read(self, count: int) -> bytes:
        return self._file.read(max(0, min(count, self._size - self.tell())))


def _lz4(data: bytes, size: int) -> bytes:
    return bytes(lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=size + 1))


def _zstd(data: bytes, size: int) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(data) as stream:
        return stream.read(size + 1)


_DECOMPRESS = {"": lambda data, size: data, "lz4": _lz4, "zstd": _zstd}
