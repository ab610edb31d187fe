"""Uploads on disk: the size of the data file is the offset, so no crash can make them disagree.

An upload is a folder `uploads/<id>/` with `data` and `announced.json`; `upload.json` beside them
says that it is complete and checked.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path

from api.errors import Problem
from core.artifacts import Artifacts, make_folder, sync
from core.disk import make_room
from core.jobs.ids import new_upload_id
from core.jobs.replies import Upload
from core.jobs.store import Store

CHECKSUM_MISMATCH = 460  # tus' own status


@dataclass(frozen=True)
class Announced:
    """What the client said when it created the upload."""

    filename: str
    size: int
    sha256: str | None


class Uploads:
    """Create, grow, finish and remove uploads; one writer at a time for each.

    Only uploads that `store` may see exist here.
    """

    def __init__(self, artifacts: Artifacts, store: Store) -> None:
        self._artifacts = artifacts
        self._store = store

    def create(self, announced: Announced, quota: int | None = None) -> str:
        """A new empty upload; returns its id. `quota`: bytes, for a project without its own.

        Raises `QuotaExceeded`, and `DiskFull` if there is no room for it.
        """
        make_room(self._artifacts.root, announced.size)
        upload_id = new_upload_id()
        self._store.announce_upload(upload_id, announced.size, quota)
        folder = self._artifacts.upload(upload_id)
        make_folder(folder.parent)
        folder.mkdir(mode=0o700)
        sync(folder.parent)
        (folder / "data").touch(mode=0o600)
        _write_json(folder / "announced.json", asdict(announced))
        return upload_id

    def get(self, upload_id: str) -> Upload:
        """State of an upload; raises `Problem` 404."""
        folder = self._artifacts.upload(upload_id)
        if not self._store.has_upload(upload_id):
            raise Problem(404, "No such upload", f"{upload_id} does not exist")
        try:
            done = _read(folder / "upload.json")
            announced = done or _read(folder / "announced.json")
            offset = (folder / "data").stat().st_size
        except FileNotFoundError:
            announced = None
        if announced is None:
            raise Problem(404, "No such upload", f"{upload_id} does not exist, or was removed")
        return Upload(
            id=upload_id,
            filename=announced.filename,
            size=announced.size,
            offset=offset,
            sha256=done.sha256 if done else None,
            complete=done is not None,
        )

    def settle(self, upload_id: str) -> Upload:
        """Like `get`, but finishes an upload whose last chunk came just before a crash."""
        upload = self.get(upload_id)
        if upload.offset < upload.size or upload.complete:
            return upload
        try:
            with self.writer(upload_id, upload.size) as writer:
                writer.start = 0  # which chunk is wrong cannot be told any more
                writer.commit(None)
        except Problem as problem:
            if problem.status not in {409, 423, CHECKSUM_MISMATCH}:
                raise
        return self.get(upload_id)

    @contextmanager
    def writer(self, upload_id: str, offset: int) -> Iterator["Writer"]:
        """Hold the upload for writing at `offset`; 409 at another offset, 423 if it is held."""
        upload = self.get(upload_id)
        folder = self._artifacts.upload(upload_id)
        with (folder / "data").open("r+b", buffering=0) as file:
            _lock(file)
            if (folder / "upload.json").exists():
                raise Problem(409, "The upload is complete", f"It has all {upload.size} bytes")
            have = file.seek(0, os.SEEK_END)
            if have != offset:
                told = f"The upload has {have} bytes, the chunk begins at {offset}"
                raise Problem(409, "Wrong offset", told)
            announced = _read(folder / "announced.json")
            assert announced is not None  # removal holds the same lock
            yield Writer(folder, file, offset, announced)

    def remove(self, upload_id: str) -> None:
        """Delete all of an upload; 423 while it is being written.

        Of a finished one the row stays, for datasets that were made of it. Raises `StillNeeded`.
        """
        upload = self.get(upload_id)
        if upload.complete:
            self._store.remove_upload(upload_id)
        self._delete(self._artifacts.upload(upload_id))
        self._store.forget_uploads([upload_id])

    def _delete(self, folder: Path) -> None:
        with (folder / "data").open("r+b", buffering=0) as file:
            _lock(file)
            shutil.rmtree(folder)

    def remove_abandoned(self, older_than_seconds: float) -> int:
        """Delete unfinished uploads that nothing was written to for so long; returns how many."""
        removed, limit = 0, time.time() - older_than_seconds
        folder = self._artifacts.root / "uploads"
        for data in folder.glob("up_*/data"):
            complete = (data.parent / "upload.json").exists()
            if not complete and data.stat().st_mtime < limit:
                with contextlib.suppress(Problem, FileNotFoundError):
                    self._delete(data.parent)  # not while someone goes on with it
                    removed += 1
        # Rows whose files are gone, now or by a crash: what they took of a quota is free again.
        announced = self._store.announced_uploads(limit)
        self._store.forget_uploads([i for i in announced if not (folder / i).exists()])
        return removed


class Writer:
    """One chunk on its way into an upload; until `commit` it can be taken back."""

    def __init__(self, folder: Path, file: FileIO, offset: int, announced: Announced) -> None:
        self._folder, self._file, self.start = folder, file, offset
        self.offset, self.announced = offset, announced
        self._chunk = hashlib.sha256()

    def write(self, data: bytes | bytearray) -> None:
        """Append bytes; 413 beyond the announced size, with the chunk taken back."""
        if self.offset + len(data) > self.announced.size:
            self.take_back()
            raise Problem(
                413, "More bytes than announced", f"Upload-Length was {self.announced.size}"
            )
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._chunk.update(data)
        self.offset += len(data)

    def commit(self, checksum: bytes | None) -> str | None:
        """Keep the chunk; returns the SHA-256 of the whole file if this was the last chunk.

        Raises `Problem` 460, and takes the chunk back, if the chunk or the whole is not what
        the client announced.
        """
        if checksum is not None and checksum != self._chunk.digest():
            self.take_back()
            raise Problem(CHECKSUM_MISMATCH, "Wrong checksum", "The chunk arrived damaged")
        if self.offset < self.announced.size:
            return None
        sha256 = self._whole()
        if self.announced.sha256 not in {None, sha256}:
            self.take_back()
            raise Problem(
                CHECKSUM_MISMATCH, "Wrong checksum", f"The whole file has SHA-256 {sha256}"
            )
        self._finish(sha256)
        return sha256

    def take_back(self) -> None:
        """Forget the chunk: the upload is as it was before."""
        self._file.truncate(self.start)
        self.offset = self.start

    def _whole(self) -> str:
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def _finish(self, sha256: str) -> None:
        os.fsync(self._file.fileno())
        done = Announced(self.announced.filename, self.announced.size, sha256)
        _write_json(self._folder / "upload.json", asdict(done))


def _read(path: Path) -> Announced | None:
    return Announced(**json.loads(path.read_text())) if path.exists() else None


def _lock(file: FileIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        told = "Another request writes to it; ask again"
        raise Problem(423, "The upload is being written", told) from None


def _write_json(path: Path, value: object) -> None:
    """Whole or not at all, on disk when this returns."""
    beside = path.with_name(f".{path.name}")
    with beside.open("w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
