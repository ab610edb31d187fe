"""What the death of a job process means, in words for the user."""

import signal
from pathlib import Path

from core.jobs.spec import Kind
from worker.decoding import KINDS, TOLD, Reason, labelled
from worker.run_job import STOPPED

_NATIVE = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT, signal.SIGFPE}
_LIMITS: dict[int, Reason] = {
    -signal.SIGXCPU: "decode_limit_time",
    -signal.SIGALRM: "decode_limit_time",
    -signal.SIGXFSZ: "decode_limit_disk",
    -signal.SIGSYS: "decode_forbidden",
}
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


def decode_crash_reason(code: int | None, told: str) -> tuple[str, bool]:
    """The same for a process that read an upload, and whether another attempt is of no use.

    `told` is its `crash_reason`. The kernel may have killed it for memory that others took.
    """
    if code in _LIMITS:
        reason = _LIMITS[code]
        return labelled(TOLD[reason], reason), True
    if code is not None and -code in _NATIVE:
        return labelled(f"{TOLD['decode_crashed']} ({told})", "decode_crashed"), True
    return labelled(
        told, "decode_limit_memory" if code == -signal.SIGKILL else "decode_error"
    ), False


def stall_reason(kind: Kind, seconds: float) -> str:
    """What to say of a job process that hung."""
    told = (
        f"the job process hung: for {seconds / 60:.3g} minutes it reported nothing and computed "
        "nothing, as if it waited for a driver, a network share or a lock; the job's log ends "
        "with where it was"
    )
    return labelled(told, "decode_error") if kind in KINDS else told


def _last_words(log: Path, home: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last.replace(f'{home}/', '')[:_LONGEST_LINE]}" if last else ""
