"""What the first episodes have in common: the others are held to it."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from core.data.clock import rate_hz, seconds
from core.data.episode import EpisodeError
from core.data.readers.base import EpisodeRef, Field, Fields, Reader
from core.data.readers.chunked import ChunkedRows

_SURVEYED = 32
_MANY_ROWS = 32
_NUMBERS: tuple[Field, ...] = ("action", "state")
Layout = dict[Field, tuple[int, ...]]
"""Shape of one row by field; empty for pictures, which may differ in size."""


@dataclass(frozen=True)
class Survey:
    """The usual layout, and frames per second by the time stamps if there are any."""

    layout: Layout
    fps: float | None
    slow: tuple[EpisodeRef, int] | None = None
    """The first episode whose pictures are unpacked many at a time, and how many."""

    def known(self, fields: Fields) -> Fields:
        """The fields that episodes usually have; `EpisodeError` if one is missing or differs."""
        found = layout(fields)
        for field, shape in (self.layout or found).items():
            if field not in found or found[field] != shape:
                raise EpisodeError(
                    "unlike_others",
                    field,
                    f"has {_width(found.get(field))} where other episodes have {_width(shape)}",
                    fix="upload logs of one robot and one recording set-up together",
                )
        return {f: v for f, v in fields.items() if f == "time" or f in (self.layout or found)}


def survey(reader: Reader) -> Survey:
    """Looks at the shapes and stamps of the first readable episodes; the majority decides."""
    seen: Counter[tuple[tuple[Field, tuple[int, ...]], ...]] = Counter()
    rates = []
    slow: tuple[EpisodeRef, int] | None = None
    for ref in reader.episodes[:_SURVEYED]:
        try:
            with reader.open(ref) as fields:
                seen[tuple(sorted(layout(fields).items()))] += 1
                rates.append(_rate(fields))
                height = _rows_per_chunk(fields)
                slow = slow or ((ref, height) if height >= _MANY_ROWS else None)
        except EpisodeError:
            continue
    known = [r for r in rates if r is not None]
    usual = dict(seen.most_common(1)[0][0]) if seen else {}
    return Survey(usual, float(f"{np.median(known):.4g}") if known else None, slow)


def layout(fields: Fields) -> Layout:
    """Shapes of an episode; time stamps are welcome and never needed."""
    return {f: v.shape[1:] if f in _NUMBERS else () for f, v in fields.items() if f != "time"}


def _rate(fields: Fields) -> float | None:
    if "time" not in fields or len(fields["time"]) < 2:
        return None
    stamps = fields["time"].read().reshape(len(fields["time"]), -1)[:, 0]
    times = seconds(stamps) if np.isfinite(stamps).all() else None
    return None if times is None else rate_hz(times)


def _rows_per_chunk(fields: Fields) -> int:
    image = fields["image"].rows if "image" in fields else None
    return image.rows_per_chunk if isinstance(image, ChunkedRows) else 1


def _width(shape: tuple[int, ...] | None) -> str:
    return "no values" if shape is None else f"{int(np.prod(shape))} value(s) per step"
