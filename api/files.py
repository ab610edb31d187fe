"""Reading what jobs wrote: JSON, metrics, progress, logs, videos."""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from fastapi.responses import FileResponse

from api.errors import Problem
from core.jobs.replies import Metric

VIDEO_HEADERS = {
    "Cache-Control": "private, max-age=600",
    "Content-Disposition": "inline",
    # A dashboard has another port, and another host in a lab: browsers count 127.0.0.1:8501 and
    # 127.0.0.1:8000 as two sites. The address is signed or the request has a token.
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def read_json(path: Path) -> Any:
    """The value in a JSON file, None if there is no such file; NaN and infinity become None."""
    try:
        return json.loads(path.read_bytes(), parse_constant=lambda _: None)
    except FileNotFoundError:
        return None


def metric(line: int, text: bytes) -> Metric:
    """One line of metrics.jsonl, counted from 1."""
    value = json.loads(text, parse_constant=lambda _: None)
    return Metric.model_validate({"line": line, **value})


def read_metrics(path: Path, after: int, limit: int) -> list[Metric]:
    """Up to `limit` whole lines after line `after`."""
    try:
        with path.open("rb") as file:
            lines = islice(enumerate(file, 1), after, after + limit)
            return [metric(n, text) for n, text in lines if text.endswith(b"\n")]
    except FileNotFoundError:
        return []


def tail(path: Path, lines: int, most_bytes: int = 1 << 18) -> str:
    """The last lines of a text file, empty if there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most_bytes))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def video(path: Path, range_header: str | None) -> FileResponse:
    """An mp4 with HTTP ranges, to be shown and not saved; 416 as a problem."""
    if not path.is_file():
        raise Problem(404, "No such video", "It was not rendered")
    size = path.stat().st_size
    start = (range_header or "").removeprefix("bytes=").split("-")[0].strip()
    if start.isascii() and start.isdigit() and int(start) >= size:
        told = f"The video has {size} bytes"
        headers = {"Content-Range": f"bytes */{size}"}
        raise Problem(416, "Range not satisfiable", told, headers=headers)
    return FileResponse(path, media_type="video/mp4", headers=VIDEO_HEADERS)


def zip_stream(folder: Path, block: int = 1 << 20) -> Iterator[bytes]:
    """The files of a folder as an uncompressed zip, never whole in memory."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo.from_file(path, f"{folder.name}/{path.relative_to(folder)}")
            with path.open("rb") as source, archive.open(entry, "w") as target:
                while data := source.read(block):
                    target.write(data)
                    yield sink.drain()
    yield sink.drain()


class _Sink(io.RawIOBase):
    """Takes what zipfile writes and hands it on; it cannot seek, so zipfile does not try."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def drain(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
