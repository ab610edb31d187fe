"""All formats that can be read; a new one is a line in `FORMATS`."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from core.data.episode import EpisodeError
from core.data.readers import bag, frame_folder, hdf5, lerobot, npz, rlds, video_table, zarr_store
from core.data.readers.archive import DEFAULT_LIMITS, Limits
from core.data.readers.base import (
    FORMATS_PAGE,
    Field,
    LogError,
    Reader,
    checked_mapping,
    missing_key,
)
from core.data.readers.detection import Detection, described
from core.data.readers.files import Files, open_files


@dataclass(frozen=True)
class Format:
    """How to recognise a format and how to open it."""

    name: str
    needs: str
    """What an upload of this format holds, in words: said when nothing was recognised."""
    recognise: Callable[[Files], str | None]
    """Why it is this format, or None. Looks at names and first bytes only; `LogError` for a
    dialect that is known and not read."""
    open: Callable[[Path, Files, Mapping[Field, str]], Reader]
    """Takes over `Files` and closes them. Raises `LogError` if nothing can be read, but not for
    keys that are missing: `Reader.fields` lacks them then."""


FORMATS: tuple[Format, ...] = (
    Format(
        "lerobot",
        "meta/info.json with meta/episodes (LeRobot v2 or v3)",
        lerobot.recognise,
        lerobot.LeRobotReader,
    ),
    Format("hdf5", "HDF5 files (.hdf5, .h5)", hdf5.recognise, hdf5.Hdf5Reader),
    Format("npz", "npz files, one per episode", npz.recognise, npz.NpzReader),
    Format(
        "zarr", "zarr store with meta/episode_ends", zarr_store.recognise, zarr_store.ZarrReader
    ),
    Format("rlds", "tfrecord shards of an RLDS dataset", rlds.recognise, rlds.RldsReader),
    Format("bag", "MCAP files or ROS bags (.mcap, .bag, .db3)", bag.recognise, bag.BagReader),
    Format(
        "video",
        "mp4 videos with a .csv or .json table of the same name",
        video_table.recognise,
        video_table.open_videos,
    ),
    Format(
        "frames",
        "folders of PNG or JPEG pictures with a .csv or .json table each",
        frame_folder.recognise,
        frame_folder.open_folders,
    ),
)
"""In the order in which they are tried: the most telling marks first."""


def detect(
    path: Path,
    label: str | None = None,
    *,
    format: str = "auto",
    mapping: Mapping[str, str] | None = None,
) -> Detection:
    """What a file or folder holds and how it would be read; reads a few rows.

    `LogError` if it cannot be opened at all or the mapping names fields that do not exist.
    """
    chosen = checked_mapping(mapping or {})
    files = open_files(path, label or path.name)
    try:
        found, reasons = _recognise(files, format)
        if found is None:
            files.close()
            problem = _unknown(files.label, format, reasons)
            return Detection(format=None, reasons=reasons, problem=problem)
        reader = found.open(path, files, chosen)
    except BaseException:
        files.close()
        raise
    with closing(reader):
        return described(reader, found.name, reasons[found.name], chosen)


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
        found, reasons = _recognise(files, format)
        if found is None:
            raise LogError(_unknown(files.label, format, reasons))
        reader = found.open(path, files, chosen)
    except BaseException:
        files.close()
        raise
    if error := _missing(reader, chosen):
        reader.close()
        raise LogError(f"{files.label}: {error}; see {FORMATS_PAGE}#{found.name}")
    return reader


def _recognise(files: Files, format: str) -> tuple[Format | None, dict[str, str]]:
    """The format, and what speaks for it; or None, and what each format misses."""
    reasons: dict[str, str] = {}
    for candidate in FORMATS:
        if format in ("auto", candidate.name):
            if reason := candidate.recognise(files):
                return candidate, {candidate.name: reason}
            reasons[candidate.name] = f"no {candidate.needs}"
    return None, reasons


def _missing(reader: Reader, mapping: Mapping[Field, str]) -> EpisodeError | None:
    keys = [c.key for c in reader.columns]
    return missing_key(reader.fields, keys, mapping) if keys else None


def _unknown(label: str, format: str, reasons: Mapping[str, str]) -> str:
    wanted = "" if format == "auto" else f" as {format}"
    why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return f"{label} cannot be read{wanted} ({why}): what each format needs is in {FORMATS_PAGE}"
