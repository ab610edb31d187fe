"""Resumable upload (tus 1.0) of one file, each chunk and the whole checked by SHA-256."""

import hashlib
import tempfile
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from foglab.transport import ServiceError, Transport

CHUNK = 8 << 20
UPLOADS = "/api/v1/uploads"
HEADERS = {"Tus-Resumable": "1.0.0"}
Listener = Callable[[int, int], None]
"""Called with bytes sent and bytes in all."""


def upload_file(
    transport: Transport,
    path: Path,
    *,
    resume: str | None = None,
    created: Callable[[str], None] | None = None,
    progress: Listener | None = None,
    chunk: int = CHUNK,
) -> str:
    """Send `path`, from where an earlier try stopped if `resume` names it; returns the id.

    `created` is told the id of a new upload before the first byte is sent.
    """
    size = path.stat().st_size
    upload = resume or create(transport, path.name, size, file_sha256(path))
    if resume is None and created is not None:
        created(upload)
    location, tries = f"{UPLOADS}/{upload}", 0
    offset = current_offset(transport, location) if resume else 0
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            try:
                offset = send_chunk(transport, location, offset, file.read(chunk))
                tries = 0
            except ServiceError as error:
                # No answer or a conflict: what arrived is for the service to say.
                tries += 1
                if error.status not in {0, 409, 423, 460, 502, 504} or tries > 8:
                    raise
                offset = current_offset(transport, location)
            if progress is not None:
                progress(offset, size)
    return upload


def create(transport: Transport, filename: str, size: int, sha256: str) -> str:
    """Announce a file of `size` bytes; returns the upload's id."""
    metadata = {"filename": filename, "sha256": sha256}
    pairs = ",".join(f"{k} {b64encode(v.encode()).decode()}" for k, v in metadata.items())
    headers = {**HEADERS, "Upload-Length": str(size), "Upload-Metadata": pairs}
    # Announcing twice leaves an empty upload behind, which the service removes after a day.
    response = transport.request("POST", UPLOADS, headers=headers)
    return response.headers["location"].rsplit("/", 1)[-1]


def send_chunk(transport: Transport, location: str, offset: int, data: bytes) -> int:
    """Send the bytes that belong at `offset`; returns the new offset."""
    digest = b64encode(hashlib.sha256(data).digest()).decode()
    headers = {
        **HEADERS,
        "Upload-Offset": str(offset),
        "Upload-Checksum": f"sha256 {digest}",
        "Content-Type": "application/offset+octet-stream",
    }
    response = transport.request("PATCH", location, headers=headers, content=data, repeat=False)
    return int(response.headers["upload-offset"])


def current_offset(transport: Transport, location: str) -> int:
    """Bytes that the service has."""
    response = transport.request("HEAD", location, headers=HEADERS)
    return int(response.headers["upload-offset"])


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def as_file(path: Path) -> Iterator[Path]:
    """`path` itself, or a zip of it while the context lasts if it is a folder."""
    if not path.exists():
        raise ServiceError(0, f"{path} does not exist")
    if path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="foglab-") as folder:
        packed = Path(folder) / f"{path.resolve().name}.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(p for p in path.rglob("*") if p.is_file()):
                archive.write(file, file.relative_to(path))
        yield packed
