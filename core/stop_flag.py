"""A flag that signal handlers may raise."""

import _thread
import contextlib
import threading


class StopFlag:
    """A `threading.Event` that may be set in a signal handler.

    `Event.set` takes a lock: in a handler that interrupts another one, or a wait for the same event,
    it would wait for itself for ever. Signals do come in bursts: the kernel sends the one of a
    parent's death once for each of the parent's threads.
    """

    def __init__(self) -> None:
        self._set = False
        self._event = threading.Event()

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        if not self._set:
            self._set = True
            with contextlib.suppress(RuntimeError):  # no thread to be had: `wait` ends at its time
                _thread.start_new_thread(self._event.set, ())

    def wait(self, seconds: float) -> bool:
        """Until the flag is set, or so long; whether it is set."""
        return self._set or self._event.wait(seconds) or self._set
