"""What a validation report can say: a closed list of codes, explained in docs/formats.md."""

from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["error", "warning", "info"]
"""An error costs an episode or part of one, a warning may cost learning, an info needs no action."""
Code = Literal[
    # Files
    "unreadable",
    "truncated",
    "codec_refused",
    "object_array",
    "missing_key",
    "wrong_ends",
    "left_out",
    "version",
    "order",
    "slow_layout",
    "video_codec",
    "no_schema",
    # Shapes
    "wrong_shape",
    "wrong_type",
    "length_mismatch",
    "too_short",
    "too_long",
    "unlike_first",
    "unlike_others",
    "duplicate",
    "padding",
    "last_action",
    # Values
    "not_finite",
    "frozen",
    "frozen_actions",
    "constant_actions",
    "constant_column",
    "clipped_actions",
    "action_kind",
    "unknown_units",
    # Images
    "pixel_range",
    "converted",
    "squeezed",
    "color_order",
    "mirrored",
    "scene_cut",
    # Time
    "time_backward",
    "time_gap",
    "time_skew",
    "clock_skew",
]
CODES: tuple[Code, ...] = get_args(Code)


@dataclass(frozen=True)
class Remark:
    """What a reader or a check has to say. `episode` counts over the whole upload, from 0."""

    code: Code
    message: str
    fix: str
    severity: Severity = "warning"
    file: str | None = None
    """None for the upload as a whole."""
    episode: int | None = None
    frame: int | None = None


def page(code: Code) -> str:
    """Where the code is explained, from the root of the project."""
    return f"docs/formats.md#{code}"
