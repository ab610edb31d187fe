"""What decoding may use: memory, time, disk, descriptors and threads."""

import contextlib
import os
import resource
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_MB = 1_000_000
_DESCRIPTORS = 256
_TASKS = 2048
"""Room for the threads of this user in other containers, which are counted and not seen."""
_LEAST_DISK_MB = 4096
_DISK_FACTOR = 200
_FREE_SHARE = 0.05


class DecodeSettings(BaseSettings):
    """Read from `FOGLAB_DECODE_…` variables of the worker."""

    model_config = SettingsConfigDict(
        env_prefix="FOGLAB_DECODE_", frozen=True, env_ignore_empty=True
    )

    memory_mb: int = Field(1500, ge=400, description="Memory that decoding may take")
    seconds: int = Field(60, ge=1, description="Processor time for any upload")
    seconds_per_mb: float = Field(20.0, ge=0, description="More of it for each MB of the upload")
    wait_factor: int = Field(
        10, ge=1, description="Time that it may take by the clock, in times of the processor time"
    )
    disk_mb: int | None = Field(
        None, ge=1, description="Disk that it may take; None: by upload and free space"
    )


@dataclass(frozen=True)
class Limits:
    """Of one process. Bytes and seconds."""

    memory_bytes: int
    cpu_seconds: int
    wall_seconds: int
    """A process that waits for something that never comes uses no processor."""
    disk_bytes: int
    """Of one file, which the kernel holds, and of all together, which the worker looks at."""

    @classmethod
    def of(cls, settings: DecodeSettings, upload_bytes: int, disk: Path) -> "Limits":
        """For an upload of some size, on the disk that holds a folder."""
        cpu = settings.seconds + int(settings.seconds_per_mb * upload_bytes / _MB)
        usage = shutil.disk_usage(disk)
        room = max(_MB, int(usage.free - _FREE_SHARE * usage.total))
        most = max(_LEAST_DISK_MB * _MB, _DISK_FACTOR * upload_bytes)
        return cls(
            memory_bytes=settings.memory_mb * _MB,
            cpu_seconds=cpu,
            wall_seconds=settings.wait_factor * cpu,
            disk_bytes=min(room, settings.disk_mb * _MB if settings.disk_mb else most),
        )

    def __str__(self) -> str:
        return (
            f"{self.memory_bytes // _MB} MB of memory, {self.cpu_seconds} s of processor time, "
            f"{self.wall_seconds} s in all, {self.disk_bytes // _MB} MB of disk"
        )


def restrict(limits: Limits) -> None:
    """Hold this process to them, for good unless it may raise its own limits."""
    # Memory that is written, be it the heap or threads' stacks. Not the address space: the finished
    # dataset is looked at through a map of its file, which may be larger than any memory.
    _lower(resource.RLIMIT_DATA, limits.memory_bytes)
    _lower(resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 5)
    _lower(resource.RLIMIT_FSIZE, limits.disk_bytes)
    _lower(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    _lower(resource.RLIMIT_CORE, 0)
    if tasks := _tasks_of_user():
        _lower(resource.RLIMIT_NPROC, tasks + _TASKS)
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds)  # SIGALRM ends the process


def _lower(which: int, soft: int, hard: int | None = None) -> None:
    most = resource.getrlimit(which)[1]
    wanted = soft if hard is None else hard
    hard = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(which, (min(soft, hard), hard))


def _tasks_of_user() -> int:
    """Threads that this user has now, which the limit of processes counts; 0 if unknown."""
    me, found = os.getuid(), 0
    with contextlib.suppress(OSError):
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if entry.stat().st_uid == me:
                        found += len(os.listdir(f"{entry.path}/task"))  # noqa: PTH208 (names only)
    return found
