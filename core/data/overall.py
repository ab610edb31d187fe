"""What the report says about an upload as a whole."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from core.data.codes import Code, Remark, Severity
from core.data.conform import Changes
from core.data.dataset import Dataset
from core.data.readers.base import EpisodeRef


def overall(
    dataset: Dataset, refs: Sequence[EpisodeRef], changes: Changes, units: Mapping[str, str]
) -> Iterator[Remark]:
    """Remarks on a finished dataset; `refs` are the episodes of the logs that it holds."""
    if changes.squeezed:
        height, width = changes.squeezed
        yield Remark(
            "squeezed",
            f"image: frames of {width} x {height} were squeezed to {dataset.meta.image_size[0]} x "
            f"{dataset.meta.image_size[0]}",
            "set fit to 'crop' or 'pad', or crop to a square, if shapes matter",
        )
    if changes.converted:
        yield _of_first(
            "converted",
            refs[0],
            f"image: logged as {changes.converted}; stored as uint8 of 0..255, colour last",
            "look at the pictures of the dataset: if they are too dark or grey, correct the logs",
            frame=0,
        )
    if changes.last_action:
        yield _of_first(
            "last_action",
            refs[0],
            "action: as many rows as frames; the last one of every episode leads to no recorded "
            "frame and is left out",
            "nothing to do",
            frame=dataset.episodes[0].length - 1,
        )
    yield from _order(refs)
    yield from _columns(dataset)
    if "actions" not in units:
        yield _of_first(
            "unknown_units",
            refs[0],
            "actions: the logs do not say in which unit they are",
            "set units, as in {'actions': 'm/s'}, so that others can use the dataset and policy",
        )


def _order(refs: Sequence[EpisodeRef]) -> Iterator[Remark]:
    for before, after in pairwise(refs):
        if after.file < before.file:
            yield _of_first(
                "order",
                after,
                f"episodes are in the order of their numbers: {before.file} before {after.file}",
                "nothing to do",
            )
            return


def _columns(dataset: Dataset) -> Iterator[Remark]:
    stats = dataset.meta.stats["actions"]
    constant = [i for i, (a, b) in enumerate(zip(stats.min, stats.max, strict=True)) if a == b]
    if constant:
        yield Remark(
            "constant_column",
            f"actions: columns {constant} never change",
            "check that the command was recorded, or leave these columns out",
        )


def _of_first(
    code: Code,
    ref: EpisodeRef,
    message: str,
    fix: str,
    frame: int | None = None,
    severity: Severity = "info",
) -> Remark:
    return Remark(code, message, fix, severity, ref.file, ref.number, frame)
