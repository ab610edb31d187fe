"""Jobs that read uploads: confined before they read a byte, their failures from a closed list."""

import contextlib
import errno
import logging
import math
import os
from pathlib import Path
from typing import Literal, get_args

from core import sandbox
from core.artifacts import Artifacts, UnknownArtifact
from core.jobs.spec import DetectSpec, IngestSpec, JobSpec, Kind

PAGE = "docs/formats.md"
"""Where every code of a reason is explained."""
Reason = Literal[
    "upload_refused",
    "upload_missing",
    "decode_limit_memory",
    "decode_limit_time",
    "decode_limit_disk",
    "decode_forbidden",
    "decode_crashed",
    "decode_error",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
"""Why a job that reads an upload may fail. Explained in docs/formats.md, each under its name."""
KINDS = frozenset({Kind.DETECT, Kind.INGEST})
_CV_NO_MEMORY = -4
_MOST_ENTRIES = 10_000
TOLD: dict[Reason, str] = {
    "decode_limit_memory": "reading the upload takes more memory than it may: cut long episodes, "
    "or set a larger FOGLAB_DECODE_MEMORY_MB for the worker, then retry the job",
    "decode_limit_time": "reading the upload takes more time than it may: split the upload, or set "
    "a larger FOGLAB_DECODE_SECONDS for the worker, then retry the job",
    "decode_limit_disk": "reading the upload takes more disk than it may: split the upload, free "
    "some space, or set a larger FOGLAB_DECODE_DISK_MB for the worker, then retry the job",
    "decode_forbidden": "the upload made its decoder ask for a file, a program or a connection "
    "that it may not have: find out where the upload comes from; the job's log has the details",
    "decode_crashed": "the upload made its decoder crash: write its files again, or leave out "
    "those that other programs cannot open either",
}
log = logging.getLogger("foglab.job")


def confine(spec: JobSpec, artifacts: Artifacts, run: Path, attempt: Path) -> None:
    """Give up what decoding does not need, if the job decodes. Call it before any thread starts."""
    if not isinstance(spec, DetectSpec | IngestSpec):
        return
    scratch = attempt / "tmp"
    scratch.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(scratch)
    limits = _limits(spec, artifacts, run)
    isolation = sandbox.confine(artifacts.upload(spec.upload), run, artifacts.root, limits)
    log.info("decoding is confined by %s: %s", isolation, limits)
    if isolation.missing:
        log.warning("decoding is confined in part: %s", isolation.missing)


class Quota:
    """What all files of a job may take together; the kernel limits each file only."""

    def __init__(self, spec: JobSpec, artifacts: Artifacts, run: Path) -> None:
        self._run = run
        self._most = math.inf
        if isinstance(spec, DetectSpec | IngestSpec):
            self._most = _limits(spec, artifacts, run).disk_bytes

    def exceeded(self) -> bool:
        """Look at the files; never for jobs that read no uploads."""
        if math.isinf(self._most):
            return False
        taken = entries = 0
        for folder, _, names in os.walk(self._run):
            for name in names:
                with contextlib.suppress(OSError):
                    taken += Path(folder, name).lstat().st_size
            entries += 1 + len(names)
            if taken > self._most or entries > _MOST_ENTRIES:
                return True
        return False


def failure(error: BaseException, told: str) -> str:
    """An error of a job that decodes, for its user: `told`, or words for a limit, with its code."""
    code = _code_of(error)
    return labelled(TOLD.get(code, told), code)


def _limits(spec: DetectSpec | IngestSpec, artifacts: Artifacts, run: Path) -> sandbox.Limits:
    data = artifacts.upload(spec.upload) / "data"
    size = data.stat().st_size if data.is_file() else 0
    return sandbox.Limits.of(sandbox.DecodeSettings(), size, run)


def _code_of(error: BaseException) -> Reason:
    if isinstance(error, MemoryError) or getattr(error, "code", None) == _CV_NO_MEMORY:
        return "decode_limit_memory"
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return "decode_limit_disk"
    if isinstance(error, PermissionError):
        return "decode_forbidden"
    if isinstance(error, UnknownArtifact):
        return "upload_missing"
    return "upload_refused" if isinstance(error, ValueError) else "decode_error"


def labelled(told: str, code: Reason) -> str:
    """A reason with its code, and where docs/formats.md tells more."""
    more = "" if PAGE in told else f"; see {PAGE}#{code}"
    return f"{told}{more} [{code}]"
