"""ROS 2 bags of the sqlite3 kind (`.db3`), opened read-only."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

from core.data.codes import Remark
from core.data.episode import EpisodeError
from core.data.readers.bag_file import Stamp, Topic, no_schema
from core.data.readers.files import damaged
from core.data.readers.ros_messages import (
    Message,
    MessageError,
    Types,
    decode,
    types_of,
    usual_types,
)

MAGIC = b"SQLite format 3\0"
_BROKEN = (sqlite3.Error, ValueError, TypeError, OverflowError, MemoryError)
_LANGUAGES = {"ros2msg": "msg", "ros2idl": "idl"}


class SqliteBag:
    """A bag under a path of its own. Bags before ROS 2 Iron do not describe their types: those
    that ROS 2 Humble ships are known, others are left out."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.remarks: list[Remark] = []
        self.topics: dict[str, Topic] = {}
        self._ids: dict[str, int] = {}
        self._types: dict[str, Types] = {}
        self._database = sqlite3.connect(
            f"{path.as_uri()}?mode=ro&immutable=1",
            uri=True,
            check_same_thread=False,  # opened in one thread, read in one other
        )
        try:
            # A view or trigger of the file could otherwise call functions.
            self._database.execute("PRAGMA trusted_schema = OFF")
            self._add_topics()
        except _BROKEN as error:
            self._database.close()
            raise EpisodeError(
                "unreadable",
                name,
                f"is not a whole ROS 2 bag ({error})",
                fix="record it again, or convert it with `ros2 bag convert`",
            ) from error

    def scan(self, topics: Collection[str]) -> Iterator[Stamp]:
        names = {self._ids[t]: t for t in topics if t in self._ids}
        marks = ", ".join("?" * len(names))
        query = (
            f"SELECT topic_id, timestamp, id, data FROM messages WHERE topic_id IN ({marks}) "
            "ORDER BY timestamp, id"
        )
        try:
            with closing(self._database.execute(query, tuple(names))) as rows:
                for topic, time, number, data in rows:
                    yield Stamp(names[topic], int(time), (int(number), 0), bytes(data))
        except _BROKEN as error:
            raise damaged(self.name, error) from error

    def message(self, topic: str, place: tuple[int, int]) -> bytes:
        query = "SELECT data FROM messages WHERE id = ?"
        try:
            with closing(self._database.execute(query, (place[0],))) as rows:
                return bytes(rows.fetchone()[0])
        except _BROKEN as error:
            raise damaged(self.name, error) from error

    def decode(self, topic: str, data: bytes) -> Message:
        return decode(self._types[topic], self.topics[topic].type, data, "cdr")

    def close(self) -> None:
        self._database.close()

    def _add_topics(self) -> None:
        described = self._definitions()
        usual: Types | None = None
        counts = dict(self._rows("SELECT topic_id, count(*) FROM messages GROUP BY topic_id"))
        for number, name, type_name, wire in self._rows(
            "SELECT id, name, type, serialization_format FROM topics"
        ):
            try:
                if wire != "cdr":
                    raise MessageError(f"messages are packed as {wire}")
                if type_name in described:
                    text, encoding = described[type_name]
                    language = _LANGUAGES.get(encoding)
                    if language is None:
                        raise MessageError(f"its definition is in {encoding}")
                    self._types[name] = types_of(
                        text, type_name, "idl" if language == "idl" else "msg"
                    )
                else:
                    usual = usual or usual_types()
                    if type_name not in usual:
                        raise MessageError(f"the bag does not describe its type {type_name}")
                    self._types[name] = usual
            except MessageError as error:
                self.remarks.append(no_schema(self.name, name, str(error)))
                continue
            self._ids[name] = int(number)
            self.topics[name] = Topic(name, type_name, int(counts.get(number, 0)))

    def _definitions(self) -> dict[str, tuple[str, str]]:
        """Type to definition and language; the table is there since ROS 2 Iron."""
        tables = {n for (n,) in self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"topics", "messages"} <= tables:
            raise ValueError("no tables of topics and messages")
        if "message_definitions" not in tables:
            return {}
        query = "SELECT topic_type, encoded_message_definition, encoding FROM message_definitions"
        return {name: (text, encoding) for name, text, encoding in self._rows(query)}

    def _rows(self, query: str) -> list[tuple]:  # type: ignore[type-arg]
        with closing(self._database.execute(query)) as rows:
            return rows.fetchall()
