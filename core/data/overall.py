"""What the report says about an upload as a whole."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from core.data.codes import Code, Remark, Severity
from core.data.conform import Changes
from core.data.dataset import Dataset
from core.data.readers.base import EpisodeRef, Field
from core.data.readers.detection import told_kind

_COMPARED = 16
_LEAST_STEPS = 100
_UPSIDE_DOWN = ("agentview_rgb", "eye_in_hand_rgb")
"""Cameras of LIBERO, whose renderer starts with the lowest line."""
_WORDS = {"absolute": "absolute", "delta": "like changes"}


def overall(
    dataset: Dataset,
    refs: Sequence[EpisodeRef],
    changes: Changes,
    slow: tuple[EpisodeRef, int] | None,
    camera: str,
) -> Iterator[Remark]:
    """Remarks on a finished dataset; `refs` are the episodes of the logs that it holds."""
    yield from _pictures(dataset, refs, changes, slow)
    if camera.endswith(_UPSIDE_DOWN) and dataset.meta.spec.get("flip") == "none":
        yield _of_first(
            "mirrored",
            refs[0],
            f"image: LIBERO stores {camera} upside down",
            "look at the pictures, and set flip to 'vertical' if they are",
            frame=0,
            severity="warning",
        )
    yield from _order(refs)
    yield from _actions(dataset, refs, changes)


def _pictures(
    dataset: Dataset,
    refs: Sequence[EpisodeRef],
    changes: Changes,
    slow: tuple[EpisodeRef, int] | None,
) -> Iterator[Remark]:
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
    if slow:
        ref, rows = slow
        yield _of_first(
            "slow_layout",
            ref,
            f"image: to read one picture, {rows} are unpacked",
            "nothing to do: all are unpacked once, into arrays that are read at random",
            frame=0,
        )


def _actions(dataset: Dataset, refs: Sequence[EpisodeRef], changes: Changes) -> Iterator[Remark]:
    if changes.last_action:
        yield _of_first(
            "last_action",
            refs[0],
            "action: as many rows as frames; the last one of every episode leads to no recorded "
            "frame and is left out",
            "nothing to do",
            frame=dataset.episodes[0].length - 1,
        )
    stats = dataset.meta.stats["actions"]
    constant = [i for i, (a, b) in enumerate(zip(stats.min, stats.max, strict=True)) if a == b]
    if constant:
        yield Remark(
            "constant_column",
            f"actions: columns {constant} never change",
            "check that the command was recorded, or leave these columns out",
        )
    yield from _kind(dataset)
    if "actions" not in dataset.meta.units:
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


def _kind(dataset: Dataset) -> Iterator[Remark]:
    """Whether actions look like the other kind, in some of the episodes."""
    if dataset.state is None:
        return
    samples: list[dict[Field, np.ndarray]] = []
    for episode in dataset.episodes[:_COMPARED]:
        rows = slice(episode.start, episode.start + episode.length)
        samples.append({"action": dataset.actions[rows][:-1], "state": dataset.state[rows]})
    if sum(len(s["action"]) for s in samples) < _LEAST_STEPS:
        return
    kind, why = told_kind(None, samples)
    if kind not in (None, dataset.meta.action_kind):
        yield Remark(
            "action_kind",
            f"actions: they look {_WORDS[kind]} ({why}), and are stored as {dataset.meta.action_kind}",
            f"set action_kind to '{kind}' if that is right",
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
