"""One recorded episode, checked when it is made."""

from dataclasses import dataclass

import numpy as np

from core.data.codes import Code

MIN_FRAMES = 2
"""One transition: the least that a world model can learn from."""


class EpisodeError(ValueError):
    """An episode that cannot be used: what is wrong, in which field, at which frame, and the fix."""

    def __init__(
        self, code: Code, field: str, message: str, *, fix: str, frame: int | None = None
    ) -> None:
        super().__init__(f"{field}: {message}; {fix}")
        self.code = code
        self.field = field
        self.message = message
        self.fix = fix
        self.frame = frame


@dataclass(frozen=True, eq=False)
class Episode:
    """L frames and the L - 1 transitions between them.

    Raises `EpisodeError` (a `ValueError`) on wrong dtypes or shapes, on fewer than two frames
    and on values that are not finite. Numeric fields are converted to their stored dtype.
    """

    frames: np.ndarray
    """(L, H, W, 3) u8, RGB."""
    actions: np.ndarray
    """(L - 1, A) f32; row t leads from frame t to frame t + 1."""
    state: np.ndarray | None = None
    """(L, S) f32."""
    reward: np.ndarray | None = None
    """(L - 1,) f32; what transition t -> t + 1 earned."""
    terminated: np.ndarray | None = None
    """(L - 1,) bool; transition t -> t + 1 ended the task."""
    success: np.ndarray | None = None
    """(L,) bool; the task is solved in frame t."""
    source: str = ""
    """File and episode inside it, for messages."""

    def __post_init__(self) -> None:
        _check_frames(self.frames)
        length = len(self.frames)
        self._store("actions", np.float32, length - 1, ndim=2)
        self._store("state", np.float32, length, ndim=2)
        self._store("reward", np.float32, length - 1, ndim=1)
        self._store("terminated", np.bool_, length - 1, ndim=1)
        self._store("success", np.bool_, length, ndim=1)

    def __len__(self) -> int:
        return len(self.frames)

    def _store(self, field: str, dtype: type[np.generic], rows: int, ndim: int) -> None:
        value = getattr(self, field)
        if value is not None:
            object.__setattr__(self, field, _checked(field, value, dtype, rows, ndim))


def _check_frames(frames: np.ndarray) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise EpisodeError(
            "wrong_shape",
            "frames",
            f"has shape {frames.shape} and type {frames.dtype}",
            fix="store images as (frames, height, width, 3) uint8",
        )
    if len(frames) < MIN_FRAMES:
        raise EpisodeError(
            "too_short",
            "frames",
            f"has {len(frames)} frame(s), and a transition needs {MIN_FRAMES}",
            fix="leave the episode out, or record longer",
        )


def _checked(
    field: str, value: np.ndarray, dtype: type[np.generic], rows: int, ndim: int
) -> np.ndarray:
    if value.dtype.kind not in "buif":
        raise EpisodeError(
            "wrong_type", field, f"holds {value.dtype} values", fix="store numbers, not objects"
        )
    if value.ndim != ndim or 0 in value.shape[1:]:
        raise EpisodeError(
            "wrong_shape",
            field,
            f"has shape {value.shape}",
            fix=f"store it as ({', '.join(('steps', 'values')[:ndim])})",
        )
    if len(value) != rows:
        raise EpisodeError(
            "length_mismatch",
            field,
            f"has {len(value)} rows where {rows} belong to {rows + (field in _PER_STEP)} frames",
            fix="record every field at the rate of the frames",
            frame=min(len(value), rows),
        )
    check_finite(field, value)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused
        stored = value.astype(dtype, copy=False)
    check_finite(field, stored)
    return stored


_PER_STEP = ("actions", "reward", "terminated")


def check_finite(field: str, value: np.ndarray) -> None:
    """`EpisodeError` at the first row (frame) of numbers `value` that is NaN or infinite."""
    finite = np.isfinite(value)
    if finite.all():
        return
    row, *column = (int(i) for i in np.argwhere(~finite)[0])
    raise EpisodeError(
        "not_finite",
        field,
        f"is {value[(row, *column)]} at frame {row}" + (f", column {column[0]}" if column else ""),
        fix="repair or cut out that frame and upload again",
        frame=row,
    )
