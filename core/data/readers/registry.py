"""All formats that can be read; a new one is a line in `FORMATS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.data.readers import npz, zarr_store
from core.data.readers.archive import DEFAULT_LIMITS, Limits
from core.data.readers.base import Field, LogError, Reader, checked_mapping
from core.data.readers.files import Files, open_files


@dataclass(frozen=True)
class Format:
    """How to recognise a format and how to open it."""

    name: str
    needs: str
    recognise: Callable[[Files], str | None]
    open: Callable[[Path, Files, Mapping[Field, str]], Reader]


FORMATS: tuple[Format, ...] = (
    Format("npz", "npz files, one per episode", npz.recognise, npz.NpzReader),
    Format(
        "zarr", "zarr store with meta/episode_ends", zarr_store.recognise, zarr_store.ZarrReader
    ),
)


@dataclass(frozen=True)
class Detection:
    """The format of an upload, and why."""

    format: Format | None
    reasons: dict[str, str]
    """What speaks for the format; if none was found, what each one misses."""


def detect(path: Path, label: str | None = None) -> Detection:
    """Which format a file or folder has; `LogError` if it cannot be opened at all."""
    files = open_files(path, label or path.name)
    try:
        return _detect(files)
    finally:
        files.close()


def open_logs(
    path: Path,
    *,
    label: str | None = None,
    format: str = "auto",
    mapping: Mapping[str, str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Reader:
    """Open logs for reading; `LogError` says what was looked for and not found."""
    chosen = checked_mapping(mapping or {})
    files = open_files(path, label or path.name, limits)
    try:
        detection = _detect(files)
        found = next((f for f in FORMATS if f.name == format), None) or detection.format
        if found is None or not found.recognise(files):
            raise LogError(_unknown(files.label, format, detection.reasons))
        return found.open(path, files, chosen)
    except BaseException:
        files.close()
        raise


def _detect(files: Files) -> Detection:
    reasons: dict[str, str] = {}
    for candidate in FORMATS:
        if reason := candidate.recognise(files):
            return Detection(candidate, {candidate.name: reason})
        reasons[candidate.name] = f"no {candidate.needs}"
    return Detection(None, reasons)


def _unknown(label: str, format: str, reasons: Mapping[str, str]) -> str:
    wanted = "" if format == "auto" else f" as {format}"
    why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return f"{label} cannot be read{wanted} ({why}): upload an .npz, or a .zip of one of these"
