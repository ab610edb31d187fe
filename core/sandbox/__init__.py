"""Keeps a process that reads strangers' bytes from doing anything else.

Decoders are C code, and a crafted file can make C code do what its author wants. So the process
that decodes gives up, before it reads a byte, what decoding does not need: files other than its
input and its own folder (Landlock), sockets, programs and processes (seccomp), privileges, and
unlimited memory, time and disk (resource limits). None of it needs root or a namespace.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.sandbox import landlock, limits, seccomp
from core.sandbox.limits import DecodeSettings, Limits

__all__ = ["DecodeSettings", "Isolation", "Limits", "confine", "support"]

_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES_3 = 0x20080522
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/sys/devices/system/cpu")
THREADS = {"OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "4", "OMP_NUM_THREADS": "4"}
"""For libraries that otherwise reserve memory for a thread on every core of a large machine."""


@dataclass(frozen=True)
class Isolation:
    """What the kernel has for it besides resource limits, which every Linux has."""

    landlock: int
    """Version of its interface, 0 if there is none."""
    seccomp: bool

    @property
    def full(self) -> bool:
        return bool(self.landlock) and self.seccomp

    def __str__(self) -> str:
        have = [f"Landlock {self.landlock}"] if self.landlock else []
        have += ["seccomp"] if self.seccomp else []
        return ", ".join([*have, "resource limits"])

    @property
    def missing(self) -> str:
        """What a hostile file could still do, and what to do about it; empty if nothing."""
        lacks = []
        if not self.landlock:
            lacks.append("no Landlock, so it could touch all files of the worker's user")
        if not self.seccomp:
            lacks.append("no seccomp, so it could reach the network and start programs")
        if not lacks:
            return ""
        return (
            f"this kernel has {' and '.join(lacks)}: take uploads from people you trust only, or "
            "use a kernel from 5.13 on, with both enabled"
        )


def support() -> Isolation:
    """What `confine` would use here."""
    return Isolation(landlock.abi(), seccomp.supported())


def confine(read: Path, write: Path, home: Path, limit: Limits) -> Isolation:
    """Give up all but reading `read` and the code, and writing below `write`; for good.

    `home` and what lies in it count as no code. Call it while there is one thread: those that run
    already would keep their files. `OSError` if the kernel has the means and refuses.
    """
    os.environ.update(THREADS)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    limits.restrict(limit)
    files = landlock.restrict([read, *_code(home)], [write, Path("/dev/null")])
    _drop_capabilities()
    calls = seccomp.restrict()
    return Isolation(files, calls)


def _code(home: Path) -> Iterator[Path]:
    """Where programs and libraries lie."""
    packages = [Path(__file__).parents[1], Path(__file__).parents[2] / "worker"]
    # The first entry is the folder that the worker was started in, which may hold anything.
    folders = [
        Path(p) for p in (sys.prefix, sys.base_prefix, *sys.path[not sys.flags.safe_path :]) if p
    ]
    outside = [f for f in folders if not home.resolve().is_relative_to(f.resolve())]
    yield from (*packages, *outside, *map(Path, _SYSTEM), *map(Path, _DEVICES))


def _drop_capabilities() -> None:
    """What root is without: raising limits, and files of others."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)())


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
