"""seccomp: system calls that a process cannot make any more.

A list of what decoding never needs: other processes, programs, sockets, other processes' memory,
owners and modes of files, and calls whose arguments a filter cannot see (clone3, io_uring).
Refused calls fail with EPERM; a library that can do without goes on.
"""

import ctypes
import errno
import os
import platform
from typing import NamedTuple

_PR_GET_SECCOMP = 21
_SET_MODE_FILTER, _TSYNC = 1, 1
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _SET, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000
_CLONE_THREAD = 0x10000
_SHARED_ANONYMOUS = 0x21


class _Machine(NamedTuple):
    """One architecture: its mark, and the numbers of its calls."""

    mark: int
    seccomp: int
    clone: int
    mmap: int
    prlimit: int
    kill: int
    tgkill: int
    refused: tuple[int, ...]


# Calls from number 424 on have the same number everywhere.
_NEWER = (
    *(424, 425, 426, 427),  # pidfd_send_signal, io_uring_setup, _enter, _register
    *(428, 429, 430, 431, 432, 433, 442),  # open_tree, move_mount, fsopen … fspick, mount_setattr
    *(434, 438, 440, 447, 452),  # pidfd_open, pidfd_getfd, process_madvise, memfd_secret, fchmodat2
)
_CLONE3 = 435
_MACHINES = {
    "x86_64": _Machine(
        mark=0xC000003E,
        seccomp=317,
        clone=56,
        mmap=9,
        prlimit=302,
        kill=62,
        tgkill=234,
        refused=(
            *(41, 53),  # socket, socketpair
            *(57, 58, 59, 322),  # fork, vfork, execve, execveat
            *(101, 310, 311, 312),  # ptrace, process_vm_readv, process_vm_writev, kcmp
            *(29, 30, 319),  # shmget, shmat, memfd_create
            *(90, 91, 268, 92, 93, 94, 260),  # chmod, fchmod, fchmodat, chown … fchownat
            *(188, 189, 190, 133, 259),  # setxattr, lsetxattr, fsetxattr, mknod, mknodat
            *(160, 200, 317, 135),  # setrlimit, tkill, seccomp, personality
            *(161, 155, 165, 166, 272, 308),  # chroot, pivot_root, mount, umount2, unshare, setns
            *(303, 304, 298, 321, 323),  # name_to_handle_at … bpf, userfaultfd
            *(248, 249, 250, 103, 163, 179),  # add_key, request_key, keyctl, syslog, acct, quotactl
            *(167, 168, 169, 172, 173, 175, 176, 313, 246, 320),  # swapon … kexec_file_load
            *_NEWER,
        ),
    ),
    "aarch64": _Machine(
        mark=0xC00000B7,
        seccomp=277,
        clone=220,
        mmap=222,
        prlimit=261,
        kill=129,
        tgkill=131,
        refused=(
            *(198, 199),  # socket, socketpair
            *(221, 281),  # execve, execveat
            *(117, 270, 271, 272),  # ptrace, process_vm_readv, process_vm_writev, kcmp
            *(194, 196, 279),  # shmget, shmat, memfd_create
            *(52, 53, 54, 55),  # fchmod, fchmodat, fchownat, fchown
            *(5, 6, 7, 33),  # setxattr, lsetxattr, fsetxattr, mknodat
            *(164, 130, 277, 92),  # setrlimit, tkill, seccomp, personality
            *(51, 41, 40, 39, 97, 268),  # chroot, pivot_root, mount, umount2, unshare, setns
            *(264, 265, 241, 280, 282),  # name_to_handle_at … bpf, userfaultfd
            *(217, 218, 219, 116, 89, 60),  # add_key, request_key, keyctl, syslog, acct, quotactl
            *(224, 225, 142, 105, 106, 273, 104, 294),  # swapon … kexec_file_load
            *_NEWER,
        ),
    ),
}
_libc = ctypes.CDLL(None, use_errno=True)


class _Step(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Step)))


def supported() -> bool:
    """Whether this kernel filters system calls, and the numbers of this machine are known."""
    return platform.machine() in _MACHINES and _libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def restrict() -> bool:
    """Refuse the calls to all threads of this process; False: not on this machine.

    Needs `no_new_privs`.
    """
    if not supported():
        return False
    machine = _MACHINES[platform.machine()]
    steps = _steps(machine, os.getpid())
    array = (_Step * len(steps))(*steps)
    program = _Program(len(steps), array)
    if _libc.syscall(machine.seccomp, _SET_MODE_FILTER, _TSYNC, ctypes.byref(program)):
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp: {os.strerror(code)}")
    return True


def _steps(machine: _Machine, pid: int) -> list[_Step]:
    """The filter, in the kernel's small language: load, compare, skip, return."""
    refuse = _Step(_RETURN, 0, 0, _ERRNO | errno.EPERM)
    absent = _Step(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
    allow = _Step(_RETURN, 0, 0, _ALLOW)
    steps = [
        _Step(_LOAD, 0, 0, _ARCH),
        _Step(_EQUAL, 1, 0, machine.mark),
        refuse,
        _Step(_LOAD, 0, 0, _NUMBER),
        _Step(_AT_LEAST, 0, 1, _X32),
        refuse,
        # The C library then uses clone, whose flags can be seen.
        _Step(_EQUAL, 0, 1, _CLONE3),
        absent,
    ]
    for number in machine.refused:
        steps += [_Step(_EQUAL, 0, 1, number), refuse]
    steps += [  # threads, but no processes
        _Step(_EQUAL, 0, 4, machine.clone),
        _argument(0),
        _Step(_SET, 1, 0, _CLONE_THREAD),
        refuse,
        allow,
    ]
    steps += [  # shared memory without a file is counted by no limit
        _Step(_EQUAL, 0, 5, machine.mmap),
        _argument(3),
        _Step(_AND, 0, 0, _SHARED_ANONYMOUS),
        _Step(_EQUAL, 0, 1, _SHARED_ANONYMOUS),
        refuse,
        allow,
    ]
    steps += [  # limits may be read
        _Step(_EQUAL, 0, 6, machine.prlimit),
        _argument(2),
        _Step(_EQUAL, 0, 3, 0),
        _argument(2, high=True),
        _Step(_EQUAL, 0, 1, 0),
        allow,
        refuse,
    ]
    for number in (machine.kill, machine.tgkill):  # itself and its group only
        steps += [
            _Step(_EQUAL, 0, 5, number),
            _argument(0),
            _Step(_EQUAL, 2, 0, pid),
            _Step(_EQUAL, 1, 0, -pid & 0xFFFFFFFF),
            refuse,
            allow,
        ]
    return [*steps, allow]


def _argument(n: int, high: bool = False) -> _Step:
    """Load half of an argument; both architectures store the low half first."""
    return _Step(_LOAD, 0, 0, _ARGUMENTS + 8 * n + 4 * high)
