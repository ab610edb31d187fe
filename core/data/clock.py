"""Time stamps of frames: their unit, their rate, and what is wrong with them."""

from collections.abc import Iterator

import numpy as np

from core.data.codes import Remark
from core.data.episode import EpisodeError
from core.data.readers.base import EpisodeRef

_GAP = 1.5
"""Periods between two frames from which on a frame is missing."""
_SCALES = (1.0, 1e-3, 1e-6, 1e-9)
_RATES_HZ = (0.5, 1000.0)
_RATE_APART = 0.02


def seconds(stamps: np.ndarray) -> np.ndarray | None:
    """Stamps (L,) as float64 seconds; None if they only count frames.

    The unit (s, ms, us, ns) is the largest that gives 0.5 to 1000 frames per second.
    """
    steps = np.diff(stamps.astype(np.int64 if stamps.dtype.kind in "iu" else np.float64))
    if not len(steps) or (stamps.dtype.kind in "iub" and (steps == 1).all()):
        return None
    usual = abs(float(np.median(steps)))
    within = (s for s in _SCALES if usual and _RATES_HZ[0] <= 1 / (usual * s) <= _RATES_HZ[1])
    return stamps.astype(np.float64) * next(within, 1.0)


def rate_hz(times: np.ndarray) -> float | None:
    """Frames per second by the median step, with four digits; None if time stands still."""
    usual = float(np.median(np.diff(times)))
    return float(f"{1 / usual:.4g}") if usual > 0 else None


def check_order(times: np.ndarray) -> None:
    """`EpisodeError` at the first frame that is not later than the one before."""
    back = np.flatnonzero(np.diff(times) <= 0)
    if len(back):
        at = int(back[0]) + 1
        raise EpisodeError(
            "time_backward",
            "time",
            f"goes from {times[at - 1]:.3f} s to {times[at]:.3f} s at frame {at}",
            fix="sort the rows by time, or set bad_episodes to 'trim' to keep the longer part",
            frame=at,
        )


def gap(times: np.ndarray, fps: float) -> EpisodeError | None:
    """Frames that are missing between two others: the first place, and how much in all."""
    steps = np.diff(times)
    # A single late stamp is followed by a short step; a gap is not.
    both = steps + np.append(steps[1:], np.inf)
    wide = np.flatnonzero((steps > _GAP / fps) & (both > (1 + _GAP) / fps))
    if not len(wide) or len(wide) > len(steps) / 2:  # then the rate is wrong, not the steps
        return None
    at = int(wide[0]) + 1
    more = f", and {len(wide) - 1} more gaps" if len(wide) > 1 else ""
    return EpisodeError(
        "time_gap",
        "time",
        f"{steps[at - 1]:.3f} s pass before frame {at} where {1 / fps:.3f} s are usual{more}",
        fix="set bad_episodes to 'trim' to cut there, or target_fps to resample by time",
        frame=at,
    )


def skew(
    times: np.ndarray, fps: float, tolerance: float | None, ref: EpisodeRef
) -> Iterator[Remark]:
    """Stamps that drift from their grid by more than `tolerance` seconds (half a frame)."""
    measured = rate_hz(times)
    off = np.abs(times - times[0] - np.arange(len(times)) / fps)
    at = int(np.argmax(off))
    if off[at] <= (0.5 / fps if tolerance is None else tolerance):
        return
    other = measured is not None and abs(measured / fps - 1) > _RATE_APART
    yield Remark(
        "time_skew",
        f"time: frame {at} is {1000 * off[at]:.1f} ms off its place at {fps:g} Hz"
        + (f"; the stamps say {measured:g} Hz" if other else ""),
        "correct the rate of the logs"
        if other
        else "set target_fps to resample by time, or a larger time_tolerance if that is fine",
        file=ref.file,
        episode=ref.number,
        frame=at,
    )
