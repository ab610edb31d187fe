"""Datasets, models and rollouts as finished jobs leave them, without running the jobs."""

import json
import shutil
from pathlib import Path

import numpy as np

from api.uploads import Announced
from core.artifacts import Artifacts, StagePaths
from core.data.episode import Episode
from core.data.video import write_mp4
from core.data.writer import DatasetWriter
from core.jobs.ids import new_upload_id
from core.jobs.records import Job, NewArtifact
from core.jobs.spec import (
    EvaluateSpec,
    ExportSpec,
    GlobalModelSpec,
    IngestSpec,
    LocalModelSpec,
    PolicySpec,
    RolloutSpec,
    Spec,
    inputs,
)
from core.jobs.store import Store
from core.recorder import NullRecorder
from core.stages import export


def finish(store: Store, spec: Spec, name: str, result: dict[str, object]) -> Job:
    """Submit a job and end it well; its files are the caller's business."""
    job = store.submit(spec, name)
    claimed = store.claim(job.id, "tests")
    assert claimed is not None
    made = NewArtifact.model_validate({"summary": result, "lineage": tuple(inputs(spec).values())})
    return store.succeed(job.id, claimed.epoch, made.summary, made)


def upload(store: Store) -> str:
    """A row of a finished upload."""
    return store.register_upload(new_upload_id(), "logs.zip", 3, "0" * 64).id


def announced(size: int) -> Announced:
    return Announced("ours-and-secret.zip", size, None)


def dataset(store: Store, artifacts: Artifacts, episodes: int = 3, length: int = 6) -> str:
    """A dataset of `length` actions an episode; returns its id."""
    spec = IngestSpec(upload=upload(store), name="logs")
    job = finish(store, spec, "logs", {})
    rng = np.random.default_rng(0)
    with DatasetWriter(artifacts.dataset(job.output_id)) as writer:
        for n in range(episodes):
            writer.append(
                Episode(
                    frames=rng.integers(0, 255, (length + 1, 16, 16, 3), dtype=np.uint8),
                    actions=rng.normal(size=(length, 2)).astype(np.float32),
                    reward=np.arange(length, dtype=np.float32),
                    source=f"episode_{n}.npz",
                )
            )
        writer.finish(
            name="logs",
            fps=10,
            action_kind="delta",
            seed=0,
            validation_fraction=0.3,
            units={},
            sources={},
            spec=spec.model_dump(mode="json"),
        )
    (artifacts.dataset(job.output_id) / "report.json").write_text('{"dropped": []}')
    return job.output_id


def model(store: Store, artifacts: Artifacts, dataset_id: str) -> str:
    """A global model; returns its id."""
    job = finish(store, GlobalModelSpec(dataset=dataset_id), "world", {"loss": 0.5})
    folder = artifacts.model(job.output_id)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"channels": [64]}')
    (folder / "lineage.json").write_text('{"dataset": "x"}')
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 9000)
    return job.output_id


def policy(store: Store, dataset_id: str, model_id: str) -> str:
    """The row of a policy, without its files; returns its id."""
    local = finish(store, LocalModelSpec(dataset=dataset_id), "local", {}).output_id
    spec = PolicySpec(dataset=dataset_id, global_model=model_id, local_model=local)
    return finish(store, spec, "pilot", {}).output_id


def rollout(store: Store, artifacts: Artifacts, dataset_id: str, model_id: str) -> str:
    """A rollout of one item; returns its id."""
    spec = RolloutSpec(dataset=dataset_id, global_model=model_id)
    job = finish(store, spec, "imagined", {})
    folder = artifacts.rollout(job.output_id)
    folder.mkdir(parents=True)
    write_mp4(folder / "0.mp4", np.zeros((5, 16, 16, 3), np.uint8), 10)
    item = {"n": 0, "kind": "replay", "episode": 1, "start": 0, "video": "0.mp4"}
    item |= {"psnr": [30.0, float("nan")], "static_psnr": [20.0, float("inf")]}
    item |= {"reward_real": None, "reward_imagined": None}
    written = {"fps": 10.0, "horizon": 4, "items": [item]}
    (folder / "rollout.json").write_text(json.dumps(written))
    return job.output_id


def evaluation(store: Store, dataset_id: str, model_id: str) -> str:
    """An evaluation; returns its id."""
    spec = EvaluateSpec(dataset=dataset_id, global_model=model_id)
    return finish(store, spec, "judged", {"psnr_1": 30.0}).output_id


def running(store: Store, artifacts: Artifacts) -> tuple[Job, Path]:
    """A job that a worker has claimed, and its run folder."""
    spec = IngestSpec(upload=upload(store), name="logs")
    job = store.claim(store.submit(spec, "logs").id, "tests")
    assert job is not None
    folder = artifacts.run(job.id)
    folder.mkdir(parents=True)
    return job, folder


def do_export(service_store: Store, artifacts: Artifacts, job_id: str) -> None:
    """What a worker does with an export job, in this process."""
    job = service_store.claim(job_id, "tests")
    assert job is not None
    spec = ExportSpec.model_validate(job.spec)
    out = artifacts.export(job.output_id)
    out.mkdir(parents=True)
    result = export.run(spec, StagePaths(artifacts, out, out), NullRecorder())
    made = NewArtifact.model_validate({"summary": result, "lineage": (spec.source,)})
    service_store.succeed(job.id, job.epoch, made.summary, made)


def keep_export(store: Store, artifacts: Artifacts, job_id: str, folder: Path) -> None:
    """End a job of `policy_export` with a policy that was exported before."""
    job = store.claim(job_id, "tests")
    assert job is not None
    shutil.copytree(folder, artifacts.export(job.output_id) / "policy")
    parity = json.loads((folder / "parity.json").read_text())
    summary = {"parity": parity, "max_action_difference": parity["max_action_difference"]}
    made = NewArtifact.model_validate({"summary": summary, "lineage": (job.spec["policy"],)})
    store.succeed(job.id, job.epoch, made.summary, made)
