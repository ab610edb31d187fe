"""What the death of a job process means, in words for the user."""

import signal
from pathlib import Path

from worker.run_job import STOPPED

_NATIVE = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT, signal.SIGFPE}
_TAIL_BYTES = 4096
_LONGEST_LINE = 300


def crash_reason(code: int | None, log: Path, home: Path) -> str:
    """`code` as of `subprocess`: negative is a signal."""
    if code is None:
        return "the job process did not end"
    if code == STOPPED or code == -signal.SIGTERM:
        return "the job process was told to stop by someone outside the service"
    if code >= 0:
        return f"the job process ended with exit code {code}{_last_words(log, home)}"
    name = signal.Signals(-code).name
    if code == -signal.SIGKILL:
        return f"the job process was killed ({name}), most likely because memory ran out"
    if -code in _NATIVE:
        return f"the job process crashed in native code ({name})"
    return f"the job process was ended by signal {name}"


def _last_words(log: Path, home: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last.replace(f'{home}/', '')[:_LONGEST_LINE]}" if last else ""
