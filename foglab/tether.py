"""`python -I -S tether.py <parent pid> <command …>`: become the command, tied to the parent's life.

The kernel keeps the death signal across exec. Set here rather than between fork and exec, where
Python code may not run safely in a program with threads. Imports nothing but the standard library.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
