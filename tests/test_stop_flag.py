"""What a signal handler may do to a flag."""

import signal
import subprocess
import sys
import time

import pytest

from core.stop_flag import StopFlag

# Its own process, so that a deadlock is a timeout. The next signal comes at every line of what the
# handler calls, and of what it interrupts.
_NESTED = """
import os, signal, sys, threading
from core.stop_flag import StopFlag

flag = StopFlag() if sys.argv[1] == "StopFlag" else threading.Event()
left = 40

def interrupt(frame, event, argument):
    global left
    if left and frame.f_code.co_filename == sys.modules[type(flag).__module__].__file__:
        left -= 1
        os.kill(os.getpid(), signal.SIGTERM)
    return interrupt

signal.signal(signal.SIGTERM, lambda *_: flag.set())
sys.settrace(interrupt)
while left:
    flag.wait(0.001)
    flag.set()
sys.settrace(None)
print(flag.is_set() and flag.wait(0.0), flush=True)
os._exit(0)
"""


def interrupted(kind: str, seconds: float) -> str:
    """Whether a flag of a kind is set after signals at every line."""
    command = [sys.executable, "-c", _NESTED, kind]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds).stdout


def test_signals_at_every_line_only_set_the_flag() -> None:
    assert interrupted("StopFlag", 60) == "True\n"


def test_an_event_would_wait_for_itself() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        interrupted("Event", 3)


def test_waiting_ends_soon_after_a_handler_sets_the_flag() -> None:
    flag = StopFlag()
    before = signal.signal(signal.SIGALRM, lambda *_: flag.set())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        began = time.monotonic()
        assert flag.wait(30.0)
        assert time.monotonic() - began < 20
    finally:
        signal.signal(signal.SIGALRM, before)
    assert flag.is_set()
    assert flag.wait(0.0)


def test_flag_that_nobody_sets_is_not_set() -> None:
    flag = StopFlag()
    assert not flag.wait(0.01)
    assert not flag.is_set()
