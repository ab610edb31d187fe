"""Judges the episodes of a reader one by one: fit ones come out, findings are kept."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace

from core.data.ahead import one_ahead
from core.data.checks import Duplicates, remarks
from core.data.codes import Remark
from core.data.dataset import ActionKind, Dataset
from core.data.episode import Episode, EpisodeError
from core.data.looks import Looks
from core.data.overall import overall
from core.data.prepare import Prepared, Preparer
from core.data.readers.base import EpisodeRef, LogError, Reader
from core.data.report import Finding, Findings, Report, Summary, from_error, from_remark
from core.data.statistics import statistics
from core.data.survey import survey
from core.jobs.spec import IngestSpec

_MOST_FPS = 1000
_LIGHT_BYTES = 128 << 20
"""Episodes of fewer bytes are read ahead."""


class Intake:
    """Reads, conforms and checks as `spec` asks. `LogError` if it asks for what cannot be."""

    def __init__(self, reader: Reader, label: str, spec: IngestSpec) -> None:
        self.findings = Findings()
        self._reader = reader
        self._label = label
        self._spec = spec
        self._usual = survey(reader)
        fps = reader.meta.fps or self._usual.fps or spec.fps
        if not 0 < fps <= _MOST_FPS:
            raise LogError(
                f"{label}: by their time stamps frames come {fps:g} times a second, and at most "
                f"{_MOST_FPS} are read: correct the unit of the time stamps"
            )
        kind = _logged_kind(reader, label, spec)
        self._preparer = Preparer(spec, fps, kind)
        self.fps = spec.target_fps or fps
        """Frames per second of the episodes that come out."""
        self.action_kind: ActionKind = kind if spec.relative_actions == "none" else "delta"
        """Kind of the actions that come out."""
        self.units = {"frames": "RGB, 0 to 255", **reader.meta.units, **spec.units}
        self._duplicates = Duplicates()
        self._looks = Looks()
        self._kept: list[EpisodeRef] = []
        self._trimmed = 0
        self._notes_taken = 0
        self._take_notes()

    def episodes(self) -> Iterator[Episode | None]:
        """One item per episode of the logs, None for one that was left out; `ValueError` for a
        broken one if `bad_episodes` is fail."""
        # A core reads and decodes, while another looks, writes and sums up.
        with closing(one_ahead(self._read, self._reader.episodes, _is_light)) as coming:
            for ref, reading in coming:
                try:
                    episode, found = self._judged(reading, ref)
                except EpisodeError as error:
                    self._reject(from_error(error, ref))
                    yield None
                else:
                    self._kept.append(ref)
                    for finding in found:
                        self.findings.add(finding)
                    yield episode

    def remark(self, remark: Remark) -> None:
        """Take a remark into the report."""
        self.findings.add(from_remark(remark, self._label))

    def report(self, dataset: Dataset) -> Report:
        """Everything found, and what became of the upload as a whole."""
        self._take_notes()
        for remark in self._looks.remarks():
            self.remark(remark)
        for remark in self._preparer.skew.summary():
            self.remark(remark)
        changes = self._preparer.conformer.changes
        camera = self._reader.fields.get("image", "")
        for remark in overall(dataset, self._kept, changes, self._usual.slow, camera):
            self.remark(remark)
        found = len(self._reader.episodes)
        summary = Summary(
            episodes_found=found,
            episodes_kept=len(self._kept),
            episodes_dropped=found - len(self._kept),
            episodes_trimmed=self._trimmed,
            frames=dataset.meta.num_frames,
            errors=self.findings.severities["error"],
            warnings=self.findings.severities["warning"],
            codes=dict(sorted(self.findings.codes.items())),
            format=self._reader.format,
        )
        return Report(summary=summary, findings=self.findings.kept, statistics=statistics(dataset))

    def _take_notes(self) -> None:
        """What the reader has said since the last time; it may find more while it reads."""
        new = self._reader.notes[self._notes_taken :]
        self._notes_taken += len(new)
        for note in new:
            finding = from_remark(_as_remark(note), self._label)
            if finding.severity == "error":
                self._reject(finding)
            else:
                self.findings.add(finding)

    def _read(self, ref: EpisodeRef) -> Prepared:
        with self._reader.open(ref) as fields:
            return self._preparer.prepare(self._usual.known(fields), ref)

    def _judged(self, reading: Future[Prepared], ref: EpisodeRef) -> tuple[Episode, list[Finding]]:
        made = reading.result()
        self._duplicates.check(made.episode, ref)
        self._trimmed += bool(made.cuts)
        kept = (int(made.rows[0]), int(made.rows[-1]) + 1)
        seen = [*remarks(made.episode, ref), *self._looks.add(made.episode.frames, ref)]
        logged = [r if r.frame is None else replace(r, frame=int(made.rows[r.frame])) for r in seen]
        return made.episode, [
            *(from_error(cut, ref, kept) for cut in made.cuts),
            *(from_remark(r, self._label) for r in (*made.doubts, *logged)),
        ]

    def _reject(self, finding: Finding) -> None:
        self.findings.add(finding)
        if self._spec.bad_episodes == "fail":
            raise ValueError(
                f"{finding}. Nothing was stored; to keep the good episodes, ingest with "
                "bad_episodes set to 'drop' or 'trim'"
            )


def _logged_kind(reader: Reader, label: str, spec: IngestSpec) -> ActionKind:
    """What actions are before they are changed; relative ones are made of absolute ones."""
    if spec.relative_actions == "none":
        return reader.meta.action_kind or spec.action_kind
    if reader.meta.action_kind == "delta":
        raise LogError(
            f"{label}: the logs say that actions are changes already: leave relative_actions at "
            "'none'"
        )
    return "absolute"


def _is_light(made: Prepared) -> bool:
    return made.episode.frames.nbytes < _LIGHT_BYTES


def _as_remark(note: str | Remark) -> Remark:
    if isinstance(note, Remark):
        return note
    return Remark("left_out", note, "nothing to do if that is meant")
