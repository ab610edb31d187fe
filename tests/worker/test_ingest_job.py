"""A real stage from upload to published dataset, through a real job process."""

import hashlib
import json
from pathlib import Path

import pytest

from core.data.dataset import Dataset
from core.jobs.records import Job, JobState
from core.jobs.spec import DetectSpec, IngestSpec
from tests.data.makers import log, npz_zip
from tests.worker.conftest import Lab


def uploaded(lab: Lab, tmp_path: Path, **first: object) -> Job:
    """An ingest job of four short episodes; `first` changes arrays of the first one."""
    logs = [log(0, **first), *(log(n) for n in (1, 2, 3))]
    content = npz_zip(tmp_path / "logs.zip", logs).read_bytes()
    told = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    upload = lab.store.register_upload("up_" + "7" * 32, "logs.zip", **told)
    folder = lab.artifacts.upload(upload.id)
    folder.mkdir(parents=True)
    (folder / "data").write_bytes(content)
    (folder / "upload.json").write_text(json.dumps({"filename": "logs.zip", **told}))
    spec = IngestSpec(upload=upload.id, name="logs", bad_episodes="fail", image_size=16)
    return lab.store.submit(spec, "logs")


def test_uploaded_logs_become_a_listed_dataset(lab: Lab, tmp_path: Path) -> None:
    job = uploaded(lab, tmp_path)
    ended = lab.launcher.run(job.id)
    assert ended is not None
    assert (ended.state, ended.error) == (JobState.SUCCEEDED, None)
    place = lab.artifacts.dataset(job.output_id)
    dataset = Dataset.open(place)
    assert [e.length for e in dataset.episodes] == [6, 6, 6, 6]
    sums = json.loads((place / "manifest.json").read_text())["files"]
    assert sums["frames.u8"]["bytes"] == dataset.frames.nbytes
    assert lab.store.get_artifact(job.output_id).summary == ended.result
    assert lab.store.get_artifact(job.output_id).lineage == (job.spec["upload"],)


def test_broken_log_fails_and_lists_nothing(lab: Lab, tmp_path: Path) -> None:
    job = uploaded(lab, tmp_path, action=None)
    ended = lab.launcher.run(job.id)
    assert ended is not None
    assert ended.state is JobState.FAILED
    assert "ep_0" in str(ended.error)
    assert not lab.artifacts.dataset(job.output_id).exists()
    with pytest.raises(LookupError):
        lab.store.get_artifact(job.output_id)


def test_look_into_an_upload_shows_its_pictures(lab: Lab, tmp_path: Path) -> None:
    upload = uploaded(lab, tmp_path).spec["upload"]
    job = lab.store.submit(DetectSpec(upload=str(upload)), "look")
    ended = lab.launcher.run(job.id)
    assert ended is not None
    assert (ended.state, ended.error) == (JobState.SUCCEEDED, None)
    told = json.loads((lab.artifacts.detection(job.output_id) / "detection.json").read_text())
    assert (told["format"], told["episodes"], told["problem"]) == ("npz", 4, "")
    assert list(told["thumbnails"]) == ["image"]
