"""Landlock: files that a process cannot reach any more, whatever its code is made to do.

The library wrappers on PyPI are pre-releases; three system calls need none. Numbers and rights:
https://docs.kernel.org/userspace-api/landlock.html.
"""

import ctypes
import errno
import os
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""The same on every architecture."""
_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE
_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _OF_FILES | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER
"""No links, sockets, pipes or devices: what a job leaves behind is plain files and folders."""
_RIGHTS_BY_ABI = ((5, 16), (3, 15), (2, 14), (1, 13))
"""From an ABI on, how many rights there are to take away."""
_NETWORK_ABI, _NETWORK = 4, 0b11
_SCOPE_ABI, _SCOPE = 6, 0b11
_libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


def abi() -> int:
    """Version of Landlock in this kernel; 0 if it has none or it is switched off."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, 0, _VERSION)))


def restrict(read: Iterable[Path], write: Iterable[Path]) -> int:
    """Leave this thread, and those it starts, only these files and folders; returns the ABI.

    0: the kernel cannot. Needs `no_new_privs`. Paths that do not exist are passed over.
    """
    version = abi()
    if not version:
        return 0
    handled = (1 << next(n for least, n in _RIGHTS_BY_ABI if version >= least)) - 1
    ruleset = _create(version, handled)
    try:
        for paths, rights in ((read, _READ | _EXECUTE), (write, _WRITE)):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        _checked(_libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return version


def _create(version: int, handled: int) -> int:
    """No TCP and no signals to others, where the kernel can tell; some name an ABI too new."""
    net = _NETWORK if version >= _NETWORK_ABI else 0
    scoped = _SCOPE if version >= _SCOPE_ABI else 0
    for scope in dict.fromkeys((scoped, 0)):
        wanted = _Ruleset(handled, net, scope)
        size = 24 if scope else 16 if net else 8
        ruleset = int(_libc.syscall(_CREATE_RULESET, ctypes.byref(wanted), size, 0))
        if ruleset >= 0 or ctypes.get_errno() != errno.EINVAL:
            break
    return _checked(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= _OF_FILES | _EXECUTE
        rule = _Beneath(rights, folder)
        _checked(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(folder)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result
