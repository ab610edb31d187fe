"""Fields of a log to an `Episode`: image layout and size, types, and one row per transition."""

from dataclasses import dataclass

import numpy as np

from core.data.episode import MIN_FRAMES, Episode, EpisodeError, check_finite
from core.data.pixels import Layout, Range
from core.data.readers.base import Field, Fields, LogError, RowSlice, ShrinkingRows
from core.data.shaping import Shaping
from core.jobs.spec import IngestSpec

_BLOCK_BYTES = 2 << 20
_MOST_EPISODE_BYTES = 1 << 30
"""It is held in memory while it is checked."""
_MOST_COLUMNS = 4096
_SIDE_MULTIPLE = 8


@dataclass
class Changes:
    """What was done to all pictures and actions, for the report."""

    squeezed: tuple[int, int] | None = None
    """Height and width of pictures that were not square, if any were squeezed."""
    converted: str = ""
    """Type, range and layout of pictures that were not (T, H, W, C) u8 as logged."""
    last_action: bool = False
    """There were as many actions as frames."""


class Conformer:
    """Makes episodes alike. Holds what was learnt from the first ones: pixel range and size."""

    def __init__(self, spec: IngestSpec) -> None:
        self._size = (spec.image_size, spec.image_size) if spec.image_size else None
        self._kept = spec.image_size is None
        self._shaping = Shaping.of(spec)
        self._relative = spec.relative_actions
        self._range = Range()
        self.changes = Changes()

    def episode(self, fields: Fields, source: str) -> Episode:
        """Read and convert one episode; `EpisodeError` if it cannot be used, `LogError` if the
        frames of these logs need an `image_size`."""
        length = len(fields["image"])
        if length < MIN_FRAMES:
            raise EpisodeError(
                "too_short",
                "image",
                "is empty" if length == 0 else "has 1 frame, and a transition needs 2",
                fix="leave the episode out, or record longer",
            )
        actions = _per_step(fields, "action", length, columns=True)
        assert actions is not None  # readers offer no episode without actions
        state = _values(fields, "state", columns=True)
        for field, values in (("actions", actions), ("state", state)):
            if values is not None and values.dtype.kind in "buif":
                check_finite(field, values)  # before the frames, which cost more to read
        self.changes.last_action |= len(fields["action"]) == length
        return Episode(
            actions=_relative(actions, state, self._relative),
            state=state,
            reward=_per_step(fields, "reward", length),
            terminated=_per_step(fields, "terminated", length),
            success=_success(fields, length),
            frames=self._frames(fields["image"]),
            source=source,
        )

    def _frames(self, image: RowSlice) -> np.ndarray:
        layout = Layout.of(image.shape)
        height, width = self._target(layout)
        if len(image) * height * width * 3 > _MOST_EPISODE_BYTES:
            raise EpisodeError(
                "too_long",
                "image",
                f"{len(image)} frames of {width} x {height} take more than 1 GiB",
                fix="cut the recording into episodes, or set a smaller image_size",
            )
        if image.rows.dtype == np.uint8 and self._shaping.keeps(image.shape, height, width):
            return _read(image, 0, len(image))
        small = isinstance(image.rows, ShrinkingRows)
        if small and self._shaping.only_shrinks(image.shape, height, width):
            return _read(image, 0, len(image), (height, width))
        frames = np.empty((len(image), height, width, 3), np.uint8)
        row_bytes = int(np.prod(image.shape[1:])) * image.rows.dtype.itemsize
        step = max(1, _BLOCK_BYTES // row_bytes)
        for i in range(0, len(image), step):
            block = self._range.to_u8(_read(image, i, min(i + step, len(image))), i)
            frames[i : i + step] = self._shaping.apply(block, layout, height, width)
        self._note_conversion(image, layout)
        return frames

    def _target(self, layout: Layout) -> tuple[int, int]:
        """Height and width of stored frames."""
        here = self._shaping.size(layout)
        if self._size is None:
            if here[0] != here[1] or here[0] % _SIDE_MULTIPLE:
                raise LogError(
                    f"frames are {here[1]} x {here[0]} pixels, and models need squares whose side "
                    f"is a multiple of {_SIDE_MULTIPLE}: set image_size, for example 64"
                )
            self._size = here
        if self._kept and here != self._size:
            raise EpisodeError(
                "unlike_first",
                "image",
                f"is {here[1]} x {here[0]} pixels where the first episode has "
                f"{self._size[1]} x {self._size[0]}",
                fix="set image_size, so that all frames are resized to it",
            )
        if here[0] * self._size[1] != here[1] * self._size[0]:
            self.changes.squeezed = here
        return self._size

    def _note_conversion(self, image: RowSlice, layout: Layout) -> None:
        parts = []
        if image.rows.dtype != np.uint8:
            parts.append(f"{image.rows.dtype} of 0..{self._range.greatest:g}")
        if layout.channels_first:
            parts.append("channels first")
        self.changes.converted = self.changes.converted or ", ".join(parts)


def _read(
    image: RowSlice, start: int, stop: int, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Rows of pictures, of a smaller size if one is given; an `EpisodeError` says which frame
    cannot be read."""
    try:
        return image.read(start, stop) if size is None else image.read_small(start, stop, *size)
    except EpisodeError as error:
        if error.frame is None:
            error.frame = _first_unreadable(image, start, stop)
        raise


def _first_unreadable(image: RowSlice, start: int, stop: int) -> int:
    for row in range(start, stop - 1):
        try:
            image.read(row, row + 1)
        except EpisodeError:
            return row
    return stop - 1


def _relative(actions: np.ndarray, state: np.ndarray | None, to: str) -> np.ndarray:
    """Absolute actions (T, A) as changes: of the action before, or from the state (T + 1, S)."""
    if to == "none":
        return actions
    wide = actions.astype(np.float64)
    if to == "previous":
        return np.diff(wide, axis=0, prepend=wide[:1])
    if state is None or state.shape[1] < actions.shape[1]:
        raise EpisodeError(
            "wrong_shape",
            "state",
            "is missing" if state is None else f"has {state.shape[1]} columns, fewer than actions",
            fix="map to 'state' what the action commands, in the same order, or make actions "
            "relative to 'previous'",
        )
    steps = min(len(actions), len(state))  # the check of lengths comes later
    changes: np.ndarray = wide[:steps] - state[:steps, : actions.shape[1]]
    return changes


def _per_step(fields: Fields, name: Field, length: int, columns: bool = False) -> np.ndarray | None:
    """(L - 1, ...) values. Of L rows the last one leads to a frame that was not recorded."""
    values = _values(fields, name, columns)
    return values[: length - 1] if values is not None and len(values) == length else values


def _success(fields: Fields, length: int) -> np.ndarray | None:
    """(L,) labels from one per frame, one per step (of the frame it leads to) or one in all."""
    values = _values(fields, "success", columns=False)
    if values is None or len(values) == length:
        return values
    if len(values) in (1, length - 1):
        return np.concatenate([np.zeros(length - len(values), values.dtype), values])
    return values


def _values(fields: Fields, name: Field, columns: bool) -> np.ndarray | None:
    if name not in fields:
        return None
    shape = fields[name].shape
    if int(np.prod(shape[1:], dtype=object)) > _MOST_COLUMNS:
        raise EpisodeError(
            "wrong_shape",
            name,
            f"has shape {shape}",
            fix=f"store at most {_MOST_COLUMNS} numbers per step",
        )
    values = fields[name].read()
    if columns:
        return values.reshape(len(values), -1)
    # (T, 1) is a common way to store one value per step.
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
