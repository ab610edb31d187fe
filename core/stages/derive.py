"""Datasets to a new one: episodes left out, put together, cut, tagged and labelled.

The sources stay as they are: models and evaluations name the dataset they learnt from, and what
they name must not change.
"""

from collections.abc import Sequence

from pydantic import JsonValue

from core.artifacts import StagePaths
from core.data.checks import Duplicates
from core.data.codes import Remark
from core.data.dataset import Dataset
from core.data.derive import Part, common_fields, episode_of, goals_of, parts
from core.data.episode import EpisodeError
from core.data.overlap import Overlaps
from core.data.readers.base import EpisodeRef
from core.data.report import REPORT_FILE, Findings, Report, Summary, from_error, from_remark
from core.data.statistics import statistics
from core.data.writer import DatasetWriter
from core.jobs.spec import DeriveSpec
from core.recorder import Recorder
from core.stages.ingest import summary, write_previews


def run(spec: DeriveSpec, paths: StagePaths, recorder: Recorder) -> dict[str, JsonValue]:
    """Write a dataset to `paths.out`; `ValueError` if it cannot be made."""
    artifacts = paths.artifacts
    ids = (spec.dataset, *spec.merge)
    sources = [Dataset.open(artifacts.existing(artifacts.dataset(i))) for i in ids]
    made = parts(sources, spec)
    findings = Findings()
    with DatasetWriter(paths.out) as writer:
        kept = _copy(made, writer, common_fields(sources, spec), spec, findings, recorder)
        if len(writer) < 2:
            raise ValueError(
                f"{len(writer)} episode(s) are left, and a dataset needs at least 2, one to learn "
                f"from and one to hold out. {findings.first_errors()}"
            )
        first = sources[0].meta
        dataset = writer.finish(
            name=spec.name,
            fps=first.fps,
            action_kind=first.action_kind,
            task=first.task,
            seed=spec.seed,
            validation_fraction=spec.validation_fraction,
            units=first.units,
            names=first.names,
            sources={k: v for d in sources for k, v in d.meta.sources.items()},
            spec=spec.model_dump(mode="json"),
            version=max(d.meta.version for d in sources) + 1,
            goals=list(goals_of(kept, spec)),
        )
    for remark in _lost(sources, dataset):
        findings.add(from_remark(remark, spec.name))
    report = Report(
        summary=Summary(
            episodes_found=len(made),
            episodes_kept=len(kept),
            episodes_dropped=len(made) - len(kept),
            frames=dataset.meta.num_frames,
            errors=findings.severities["error"],
            warnings=findings.severities["warning"],
            codes=dict(sorted(findings.codes.items())),
            format="derived from " + ", ".join(ids),
        ),
        findings=findings.kept,
        statistics=statistics(dataset),
    )
    (paths.out / REPORT_FILE).write_text(report.model_dump_json(indent=1))
    write_previews(dataset, recorder)
    return {"dataset": summary(dataset, report)}


def _copy(
    made: Sequence[Part],
    writer: DatasetWriter,
    fields: Sequence[str],
    spec: DeriveSpec,
    findings: Findings,
    recorder: Recorder,
) -> list[Part]:
    """Write all parts but those that were met before; returns what was written."""
    duplicates, overlaps = Duplicates(), Overlaps()
    kept = []
    for done, part in enumerate(made, start=1):
        recorder.raise_if_cancelled()
        episode = episode_of(part, fields, spec)
        ref = EpisodeRef(part.n, episode.source)
        try:
            duplicates.check(episode, ref)
            if spec.merge:
                overlaps.check(episode, id(part.dataset), part.n)
        except EpisodeError as error:
            findings.add(from_error(error, ref))
        else:
            tags = spec.tags.get(part.n, part.info.tags)
            writer.append(episode, part.info.split, tags)
            kept.append(part)
        recorder.progress(done, len(made), f"episode {done} of {len(made)}")
    return kept


def _lost(sources: Sequence[Dataset], dataset: Dataset) -> list[Remark]:
    had = set.union(*(set(d.fields()) for d in sources))
    lost = sorted(had - set(dataset.fields()))
    if not lost:
        return []
    return [
        Remark(
            "left_out",
            f"{', '.join(lost)}: not all of the merged datasets have it",
            "merge datasets that log the same, if it matters",
        )
    ]
