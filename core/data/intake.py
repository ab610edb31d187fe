"""Judges the episodes of a reader one by one: fit ones come out, findings are kept."""

from collections import Counter
from collections.abc import Iterator
from typing import Literal

import numpy as np

from core.data.checks import Duplicates, check_motion, warnings
from core.data.codes import Code, Remark
from core.data.conform import Conformer
from core.data.dataset import Dataset
from core.data.episode import Episode, EpisodeError
from core.data.readers.base import EpisodeRef, Field, Fields, Reader
from core.data.report import Finding, Findings, Report, Summary, from_error, from_remark

_SURVEYED = 32
_Layout = dict[Field, tuple[int, ...]]
"""Shape of one row by field; empty for frames, which may differ in size."""


class Intake:
    """Reads, conforms and checks. `on_bad` says what a broken episode does to the rest."""

    def __init__(
        self, reader: Reader, label: str, image_size: int | None, on_bad: Literal["drop", "fail"]
    ) -> None:
        self.findings = Findings()
        self._reader = reader
        self._label = label
        self._on_bad = on_bad
        self._conformer = Conformer(image_size)
        self._duplicates = Duplicates()
        self._layout = _survey(reader)
        self._kept = 0

    def episodes(self) -> Iterator[Episode | None]:
        """One item per episode of the logs, None for one that was left out; `ValueError` for a
        broken one if `on_bad` is fail."""
        for ref in self._reader.episodes:
            try:
                episode = self._read(ref)
            except EpisodeError as error:
                self._reject(from_error(error, ref))
                yield None
            else:
                self._kept += 1
                for finding in warnings(episode, ref):
                    self.findings.add(finding)
                yield episode

    def remark(self, code: Code, message: str, fix: str) -> None:
        """Add a warning that concerns the upload as a whole."""
        self._note(Remark(code, message, fix))

    def _note(self, remark: Remark) -> None:
        self.findings.add(from_remark(remark, self._label))

    def report(self, dataset: Dataset) -> Report:
        """Everything found, and what became of the upload as a whole."""
        for remark in self._remarks(dataset):
            self._note(remark)
        found = len(self._reader.episodes)
        summary = Summary(
            episodes_found=found,
            episodes_kept=self._kept,
            episodes_dropped=found - self._kept,
            frames=dataset.meta.num_frames,
            errors=self.findings.severities["error"],
            warnings=self.findings.severities["warning"],
            codes=dict(sorted(self.findings.codes.items())),
            format=self._reader.format,
        )
        return Report(summary=summary, findings=self.findings.kept)

    def _read(self, ref: EpisodeRef) -> Episode:
        with self._reader.open(ref) as fields:
            self._layout = self._layout or _layout(fields)
            _check_layout(fields, self._layout)
            known: Fields = {f: v for f, v in fields.items() if f in self._layout}
            episode = self._conformer.episode(known, _source(ref))
        check_motion(episode)
        self._duplicates.check(episode, ref)
        return episode

    def _reject(self, finding: Finding) -> None:
        self.findings.add(finding)
        if self._on_bad == "fail":
            raise ValueError(
                f"{finding}. Nothing was stored; to keep the good episodes, ingest with "
                "bad_episodes set to 'drop'"
            )

    def _remarks(self, dataset: Dataset) -> Iterator[Remark]:
        """What concerns all episodes."""
        for note in self._reader.notes:
            yield Remark("left_out", note, "nothing to do if that is meant")
        if self._conformer.squeezed:
            height, width = self._conformer.squeezed
            side = dataset.meta.image_size[0]
            yield Remark(
                "squeezed",
                f"image: frames of {width} x {height} were squeezed to {side} x {side}",
                "crop them to squares before the upload if shapes matter",
            )
        stats = dataset.meta.stats["actions"]
        constant = [i for i, (a, b) in enumerate(zip(stats.min, stats.max, strict=True)) if a == b]
        if constant:
            yield Remark(
                "constant_column",
                f"actions: columns {constant} never change",
                "check that the command was recorded, or leave these columns out",
            )


def _survey(reader: Reader) -> _Layout:
    """The layout that most of the first readable episodes share."""
    seen: Counter[tuple[tuple[Field, tuple[int, ...]], ...]] = Counter()
    for ref in reader.episodes[:_SURVEYED]:
        try:
            with reader.open(ref) as fields:
                seen[tuple(sorted(_layout(fields).items()))] += 1
        except EpisodeError:
            continue
    return dict(seen.most_common(1)[0][0]) if seen else {}


def _layout(fields: Fields) -> _Layout:
    return {f: v.shape[1:] if f in ("action", "state") else () for f, v in fields.items()}


def _check_layout(fields: Fields, usual: _Layout) -> None:
    found = _layout(fields)
    for field, shape in usual.items():
        if field not in found or found[field] != shape:
            raise EpisodeError(
                "unlike_others",
                field,
                f"has {_width(found.get(field))} where other episodes have {_width(shape)}",
                fix="upload logs of one robot and one recording set-up together",
            )


def _width(shape: tuple[int, ...] | None) -> str:
    return "no values" if shape is None else f"{int(np.prod(shape))} value(s) per step"


def _source(ref: EpisodeRef) -> str:
    return ref.file if ref.rows is None else f"{ref.file}, rows {ref.rows[0]} to {ref.rows[1] - 1}"
