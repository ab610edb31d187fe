"""Uploaded logs to a dataset, its report and preview videos."""

from contextlib import closing
from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field, JsonValue, ValidationError

from core.artifacts import StagePaths, UnknownArtifact
from core.data.codes import Remark
from core.data.dataset import Dataset
from core.data.intake import Intake
from core.data.readers import Reader, open_logs
from core.data.readers.archive import printable
from core.data.readers.bag import BagReader
from core.data.report import REPORT_FILE, Report
from core.data.video import write_mp4
from core.data.writer import DatasetWriter
from core.jobs.spec import IngestSpec
from core.recorder import Recorder

_PREVIEWS = 12
_PREVIEW_FRAMES = 600


class Upload(BaseModel):
    """`upload.json` beside the uploaded bytes in `data`."""

    filename: str = Field(max_length=4096)
    size: int
    sha256: str


def run(spec: IngestSpec, paths: StagePaths, recorder: Recorder) -> dict[str, JsonValue]:
    """Write a dataset to `paths.out`; `ValueError` if none can be made of the upload."""
    data, upload = find_upload(paths, spec.upload)
    label = printable(upload.filename)
    with closing(open_logs(data, label=label, format=spec.format, mapping=spec.mapping)) as reader:
        if isinstance(reader, BagReader):
            reader.split(spec.episode_gap, spec.episode_topic, spec.bag_clock)
        intake = Intake(reader, label, spec)
        with DatasetWriter(paths.out) as writer:
            _copy(intake, writer, len(reader.episodes), recorder)
            _refuse_too_few(writer, intake, label)
            if reader.meta.action_kind not in (None, spec.action_kind):
                intake.remark(_other_kind(reader, spec))
            dataset = _finish(writer, reader, intake, spec, {label: upload.sha256})
        report = intake.report(dataset)
    (paths.out / REPORT_FILE).write_text(report.model_dump_json(indent=1))
    write_previews(dataset, recorder)
    return {"dataset": summary(dataset, report)}


def find_upload(paths: StagePaths, upload_id: str) -> tuple[Path, Upload]:
    """The bytes of a finished upload; `UnknownArtifact` or `ValueError` if it is not whole."""
    folder = paths.artifacts.existing(paths.artifacts.upload(upload_id))
    try:
        upload = Upload.model_validate_json((folder / "upload.json").read_bytes())
        size = (folder / "data").stat().st_size
    except (FileNotFoundError, ValidationError) as error:
        raise UnknownArtifact(
            f"upload {upload_id} is not finished: upload the file again"
        ) from error
    if size != upload.size:
        raise ValueError(
            f"{printable(upload.filename)} has {size} of {upload.size} bytes: upload it again"
        )
    return folder / "data", upload


def _copy(intake: Intake, writer: DatasetWriter, total: int, recorder: Recorder) -> None:
    for done, episode in enumerate(intake.episodes(), start=1):
        recorder.raise_if_cancelled()
        if episode is not None:
            writer.append(episode)
        recorder.progress(done, total, f"episode {done} of {total}")


def _refuse_too_few(writer: DatasetWriter, intake: Intake, label: str) -> None:
    if len(writer) >= 2:
        return
    problems = intake.findings.first_errors()
    raise ValueError(
        f"{label}: {len(writer)} usable episode(s), and a dataset needs at least 2, one to learn "
        f"from and one to hold out. {problems or 'Upload more episodes'}"
    )


def _other_kind(reader: Reader, spec: IngestSpec) -> Remark:
    return Remark(
        "action_kind",
        f"actions: the logs say {reader.meta.action_kind}, which is used in place of the "
        f"{spec.action_kind} asked for",
        "correct the logs if they are wrong",
    )


def _finish(
    writer: DatasetWriter,
    reader: Reader,
    intake: Intake,
    spec: IngestSpec,
    sources: dict[str, str],
) -> Dataset:
    return writer.finish(
        name=spec.name,
        fps=intake.fps,
        action_kind=intake.action_kind,
        task=reader.meta.task,
        seed=spec.seed,
        validation_fraction=spec.validation_fraction,
        units=intake.units,
        names={
            "actions": reader.meta.names.get("action", ()),
            "state": reader.meta.names.get("state", ()),
        },
        sources=sources,
        spec=spec.model_dump(mode="json"),
    )


def write_previews(dataset: Dataset, recorder: Recorder) -> None:
    """Videos of a dozen episodes spread over the dataset, `previews/<index of episode>.mp4`."""
    folder = dataset.path / "previews"
    folder.mkdir(exist_ok=True)
    last = len(dataset.episodes) - 1
    chosen = np.unique(np.linspace(0, last, min(_PREVIEWS, last + 1)).round().astype(int)).tolist()
    for done, n in enumerate(chosen, start=1):
        recorder.raise_if_cancelled()
        episode = dataset.episodes[n]
        stop = episode.start + min(episode.length, _PREVIEW_FRAMES)
        write_mp4(folder / f"{n}.mp4", dataset.frames[episode.start : stop], dataset.meta.fps)
        recorder.progress(done, len(chosen), f"preview {done} of {len(chosen)}")


def summary(dataset: Dataset, report: Report) -> dict[str, JsonValue]:
    """What the job's row tells of the dataset."""
    meta, counts = dataset.meta, report.summary
    return {
        "episodes": meta.num_episodes,
        "frames": meta.num_frames,
        "dropped": counts.episodes_dropped,
        "image_size": meta.image_size[0],
        "action_dim": meta.action_dim,
        "state_dim": meta.state_dim,
        "has_reward": meta.has_reward,
        "fps": meta.fps,
        "action_kind": meta.action_kind,
        "format": counts.format,
        "warnings": counts.warnings,
        "errors": counts.errors,
    }
