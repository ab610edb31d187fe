"""One file with all of an installation: its database first, then what the database names.

A published artifact never changes, so a copy of the files made after the copy of the database
holds at least what its rows need, while the service runs. Only what is deleted meanwhile may be
listed in the copy without its files.
"""

import hashlib
import json
import os
import re
import shutil
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from core.artifacts import make_folder, sync
from core.disk import make_room
from core.jobs import dump
from core.jobs.environment import Environment
from core.jobs.leftovers import FAMILIES
from core.jobs.migrate import upgrade
from core.jobs.store import Store

FORMAT = 1
_INFO, _MANIFEST, _FILES = "backup.json", "manifest.json", "files/"
_CHUNK = 1 << 20
_SAFE = re.compile(rf"(uploads|runs|{'|'.join(FAMILIES)})/[a-z]{{2,4}}_[0-9a-z]{{8,32}}(/[^/\0]+)+")
_KEPT_OF_A_RUN = ("spec.json", "metrics.jsonl", "progress.json", "log.txt")


class BackupError(ValueError):
    """It cannot be done; the message says why."""


@dataclass
class Summary:
    """What was copied."""

    files: int = 0
    bytes: int = 0
    damaged: list[str] = field(default_factory=list)
    """Files that are not what their checksums say, or are missing."""


def backup(environment: Environment, target: Path) -> Summary:
    """Write `target`, whole or not at all; the service may run. Raises `BackupError`."""
    if target.exists():
        raise BackupError(f"{target} exists already; name another file")
    partial = target.with_name(f".{target.name}.partial")
    copied = target.with_name(f".{target.name}.database")
    try:
        name = dump.dump(environment.database_url, copied)
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                done = _Packer(archive).pack(environment, name, copied)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
        sync(target.absolute().parent)
    finally:
        copied.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)
    return done


class _Packer:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._sums: dict[str, dict[str, object]] = {}
        self._done = Summary()

    def pack(self, environment: Environment, name: str, copied: Path) -> Summary:
        info = {"format": FORMAT, "made_at": time.time(), "database": name}
        self._archive.writestr(_INFO, json.dumps(info))
        self._add(copied, name)
        store = Store.open(environment.database_url)
        try:
            for upload_id, sha256 in store.upload_sums():
                self._folder(environment.home, f"uploads/{upload_id}", {"data": sha256})
            for artifact_id in store.artifact_ids():
                self._artifact(environment.home, artifact_id, store)
            for job_id in store.job_ids():
                self._run(environment.home, f"runs/{job_id}")
        finally:
            store.close()
        self._archive.writestr(_MANIFEST, json.dumps({"files": self._sums}))
        return self._done

    def _artifact(self, home: Path, artifact_id: str, store: Store) -> None:
        places = [f"{f}/{artifact_id}" for f in FAMILIES if (home / f / artifact_id).is_dir()]
        if not places and artifact_id in store.artifact_ids():
            self._done.damaged.append(f"{artifact_id}: nothing is stored")
        for place in places:
            sums: dict[str, str] = {}
            for manifest in (home / place).glob("**/manifest.json"):
                inside = manifest.parent.relative_to(home / place)
                try:
                    entries = json.loads(manifest.read_bytes())["files"].items()
                    sums |= {(inside / n).as_posix(): e["sha256"] for n, e in entries}
                except (ValueError, KeyError, TypeError, AttributeError):
                    self._done.damaged.append(f"{place}/{(inside / 'manifest.json').as_posix()}")
            self._folder(home, place, sums)

    def _folder(self, home: Path, place: str, sums: dict[str, str]) -> None:
        """All files of a folder that does not change; those of `sums` must be as it says."""
        found = {p.relative_to(home / place).as_posix() for p in _files(home / place)}
        for name in sorted(found):
            digest = self._add(home / place / name, f"{_FILES}{place}/{name}")
            if sums.get(name, digest) != digest:
                self._done.damaged.append(f"{place}/{name}")
        self._done.damaged += [f"{place}/{name}" for name in sorted(sums.keys() - found)]

    def _run(self, home: Path, place: str) -> None:
        """Of a run that may go on meanwhile: each file as it is when its turn comes."""
        names = [home / place / name for name in _KEPT_OF_A_RUN]
        kept = (p for c in (home / place).glob("checkpoints*") for p in _files(c))
        for path in (*names, *kept):
            try:
                self._add(path, f"{_FILES}{path.relative_to(home).as_posix()}")
            except FileNotFoundError:
                continue

    def _add(self, path: Path, name: str) -> str:
        with path.open("rb") as source:
            entry = zipfile.ZipInfo(name, time.localtime(path.stat().st_mtime)[:6])
            with self._archive.open(entry, "w", force_zip64=True) as target:
                digest, size = _copy(source, target)
        self._sums[name] = {"sha256": digest, "bytes": size}
        self._done.files += 1
        self._done.bytes += size
        return digest


def restore(environment: Environment, source: Path) -> Summary:
    """Make an empty installation what it was; every checksum is verified before anything counts.

    Jobs that ran when the backup was made go on from their checkpoints when workers start.
    Raises `BackupError`.
    """
    home = environment.home
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise BackupError(f"{home} is not empty; restore into a new folder (--home)")
    make_folder(home.absolute().parent)
    beside = home.with_name(f".{home.name}.restoring-{os.getpid()}")
    beside.mkdir(mode=0o700)
    try:
        with zipfile.ZipFile(source) as archive:
            make_room(beside, sum(e.file_size for e in archive.infolist()))
            info, sums = _contents(archive)
            done = _unpack(archive, info["database"], sums, beside)
        name = info["database"]
        dump.check_empty(environment.database_url, name)
        beside.rename(home)
        try:
            dump.load(environment.database_url, home / name)
            upgrade(environment.database_url)
            (home / name).unlink()
        except BaseException:
            shutil.rmtree(home)  # it was empty: so it is again
            raise
    except (zipfile.BadZipFile, KeyError, TypeError) as error:
        raise BackupError(f"{source} is not a whole backup: {error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return done


def _contents(archive: zipfile.ZipFile) -> tuple[dict[str, str], dict[str, dict[str, object]]]:
    info = json.loads(archive.read(_INFO))
    if info["format"] != FORMAT:
        raise BackupError(f"backup format {info['format']} is unknown to this version")
    if info["database"] not in dump.NAMES:
        raise BackupError(f"{info['database']!r} is not a database that this version knows")
    sums: dict[str, dict[str, object]] = json.loads(archive.read(_MANIFEST))["files"]
    for name in sums:
        inner = name.removeprefix(_FILES)
        safe = _SAFE.fullmatch(inner) and not {".", ".."} & set(inner.split("/"))
        if name != info["database"] and not (name.startswith(_FILES) and safe):
            raise BackupError(f"{name!r} is not a file of an installation")
    return info, sums


def _unpack(
    archive: zipfile.ZipFile, database: str, sums: dict[str, dict[str, object]], root: Path
) -> Summary:
    done = Summary()
    for name, entry in sums.items():
        path = root / (name if name == database else name.removeprefix(_FILES))
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(name) as packed, path.open("xb") as target:
            digest, size = _copy(packed, target)
            target.flush()
            os.fsync(target.fileno())
        if (digest, size) != (entry["sha256"], entry["bytes"]):
            raise BackupError(f"{name} is damaged in the backup: its checksum is wrong")
        done.files += 1
        done.bytes += size
    for where, _, _ in os.walk(root):
        sync(Path(where))
    return done


def _copy(source: IO[bytes], target: IO[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        target.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _files(folder: Path) -> Iterator[Path]:
    """Files at any depth, without hidden ones: those are being written or removed."""
    for where, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".")]
        yield from (Path(where) / n for n in names if not n.startswith("."))
