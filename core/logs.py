"""One JSON object a line: no text in a field can forge a second line, or colour a terminal."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import IO, Any

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `logger`, `message`, what was given as `extra`, and `error` with a trace."""

    def __init__(self, **always: Any) -> None:
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        """ASCII: every control character is escaped."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._always,
        }
        line |= {k: v for k, v in vars(record).items() if k not in _OWN and not k.startswith("_")}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str).replace("\x7f", "\\u007f")


def json_logs(stream: IO[str] = sys.stderr, level: int = logging.INFO, **always: Any) -> None:
    """Send all logging of this process to `stream`; `always` is in every line."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(**always))
    logging.basicConfig(level=level, handlers=[handler], force=True)
