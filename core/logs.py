"""Logs of all programs: no text in a field can forge a second entry, or colour a terminal.

`FOGLAB_LOG=json` is one JSON object a line, `FOGLAB_LOG=text` a line for people.
"""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Any, Literal

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_about: ContextVar[dict[str, Any] | None] = ContextVar("about", default=None)


@contextlib.contextmanager
def about(**fields: Any) -> Iterator[None]:
    """Every line that this thread logs meanwhile has these fields."""
    token = _about.set({**(_about.get() or {}), **fields})
    try:
        yield
    finally:
        _about.reset(token)


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
            **(_about.get() or {}),
        }
        line |= {k: v for k, v in vars(record).items() if k not in _OWN and not k.startswith("_")}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str).replace("\x7f", "\\u007f")


class TextFormatter(logging.Formatter):
    """Time, level, logger, message. Control characters are escaped, a trace is indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return _printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        trace = super().formatException(ei)
        return "\n".join("  " + _printable(line) for line in trace.split("\n"))


def logs(
    default: Literal["json", "text"],
    stream: IO[str] = sys.stderr,
    level: int = logging.INFO,
    **always: Any,
) -> None:
    """Send all logging of this process to `stream` as `FOGLAB_LOG` says; JSON has `always` too.

    Raises `ValueError` if it is neither json nor text.
    """
    form = os.environ.get("FOGLAB_LOG") or default
    if form not in ("json", "text"):
        raise ValueError(f"FOGLAB_LOG is {form!r}; it may be json or text")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(**always) if form == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
