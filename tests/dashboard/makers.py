"""An installation as a lab leaves it: a dataset, models, judged and rendered, jobs in all states."""

import io
import json
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.artifacts import Artifacts, StagePaths
from core.data.dataset import Dataset
from core.data.heat import heat
from core.data.video import write_mp4
from core.envs.logs import make_logs
from core.jobs.records import Job, NewArtifact
from core.jobs.spec import (
    DetectSpec,
    EvaluateSpec,
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
from core.stages import run_stage
from foglab.client import ServiceClient

FPS = 10.0
STEPS = 24


@dataclass(frozen=True)
class Lab:
    """Ids of what was made."""

    upload: str
    dataset: str
    global_model: str
    local_model: str
    policy: str
    evaluation: str
    rollout: str
    failed_job: str


def make_lab(client: ServiceClient, store: Store, artifacts: Artifacts, scratch: Path) -> Lab:
    """Everything but jobs that still run."""
    upload = client.upload(logs(scratch / "push_disc.zip")).id
    dataset = ingest(store, artifacts, upload, "push_disc")
    base = {"dataset": dataset}
    world = finish(store, GlobalModelSpec(dataset=dataset), "global model", {"loss": 0.031})
    local = finish(store, LocalModelSpec(dataset=dataset), "local model", {"loss": 1.27})
    trained = base | {"global_model": world.output_id, "local_model": local.output_id}
    policy = finish(
        store, PolicySpec(**trained), "policy", {"imagined_frames": 345_600, "imagined_return": 9.1}
    )
    for job in (world, local, policy):
        model_folder(artifacts, job)
    judged = trained | {"policy": policy.output_id, "task": "push_disc"}
    evaluation = finish(store, EvaluateSpec.model_validate(judged), "evaluation", figures())
    rollout = finish(store, RolloutSpec.model_validate(judged), "rollouts", {"items": 3})
    rollout_folder(artifacts, rollout.output_id, dataset)
    return Lab(
        upload,
        dataset,
        world.output_id,
        local.output_id,
        policy.output_id,
        evaluation.output_id,
        rollout.output_id,
        failed(store, dataset, "big batch").id,
    )


def logs(path: Path, episodes: int = 6) -> Path:
    """Play of the real task, and one episode with a NaN among its actions."""
    make_logs("push_disc", episodes, path, image_size=32)
    with zipfile.ZipFile(path, "a") as archive:
        good = np.load(io.BytesIO(archive.read("episode_00000.npz")))
        broken = {name: good[name].copy() for name in good.files}
        broken["action"][7, 0] = np.nan
        sink = io.BytesIO()
        np.savez(sink, **broken)
        archive.writestr("episode_99999.npz", sink.getvalue())
    return path


def ingest(store: Store, artifacts: Artifacts, upload: str, name: str) -> str:
    """Run the real stage, publish as the worker does; returns the dataset's id."""
    spec = IngestSpec(upload=upload, name=name, validation_fraction=0.34)
    job = claim(store, store.submit(spec, name).id)
    out = artifacts.dataset(job.output_id)
    out.mkdir(parents=True)
    result = run_stage(spec, StagePaths(artifacts, artifacts.run(job.id), out), NullRecorder())
    made = NewArtifact.model_validate({"summary": result, "lineage": (upload,)})
    store.succeed(job.id, job.epoch, made.summary, made)
    return job.output_id


def work(store: Store, artifacts: Artifacts, job: Job) -> Job:
    """Run a look into an upload as the worker does."""
    claimed = claim(store, job.id)
    out = artifacts.detection(job.output_id)
    out.mkdir(parents=True)
    spec = DetectSpec.model_validate(job.spec)
    result = run_stage(spec, StagePaths(artifacts, artifacts.run(job.id), out), NullRecorder())
    made = NewArtifact.model_validate({"summary": result})
    return store.succeed(claimed.id, claimed.epoch, made.summary, made)


def finish(store: Store, spec: Spec, name: str, result: dict[str, object]) -> Job:
    """A job that ended well; its files are the caller's business."""
    job = claim(store, store.submit(spec, name).id)
    made = NewArtifact.model_validate({"summary": result, "lineage": tuple(inputs(spec).values())})
    return store.succeed(job.id, job.epoch, made.summary, made)


def failed(store: Store, dataset: str, name: str) -> Job:
    """A job that ended badly."""
    spec = GlobalModelSpec(dataset=dataset, batch_size=4096)
    job = claim(store, store.submit(spec, name).id)
    return store.fail(job.id, job.epoch, "Out of memory at step 1: use a smaller batch_size")


def claim(store: Store, job_id: str) -> Job:
    claimed = store.claim(job_id, "tests")
    assert claimed is not None
    return claimed


def model_folder(artifacts: Artifacts, job: Job) -> None:
    folder = artifacts.model(job.output_id)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"channels": [64, 64], "image_size": 32}))
    (folder / "model.safetensors").write_bytes(bytes(1000))
    (folder / "lineage.json").write_text(json.dumps({"inputs": job.spec}))


def figures() -> dict[str, object]:
    """An evaluation as the stage writes it."""
    psnr = [33.0 - 5.5 * (1 - 0.93**n) for n in range(20)]
    static = [26.0 - 7.5 * (1 - 0.9**n) for n in range(20)]
    found: dict[str, object] = {f"psnr_{n}": psnr[n - 1] for n in (1, 5, 10, 20)}
    found |= {f"static_psnr_{n}": static[n - 1] for n in (1, 5, 10, 20)}
    found |= {"psnr": psnr, "static_psnr": static, "reward_correlation": 0.93}
    found |= {"gradient_cosine": 0.61, "gradient_cosine_interval": [0.55, 0.67]}
    found |= {"gradient_positive": 0.9, "episodes": 100}
    found |= {"imagined_return": 9.1, "imagined_return_interval": [8.2, 10.0]}
    gain = [0.4 * n for n in range(1, 11)]
    found |= {"action_gain": 4.0, "action_gain_interval": [3.1, 4.9], "action_gain_steps": 10}
    found |= {"action_gain_by_step": gain, "shuffled_psnr": [25.0] * 10}
    bins = {"imagined": [-0.2, 0.1, 0.6], "logged": [-0.25, 0.12, 0.66], "counts": [40, 40, 40]}
    found |= {"reward_calibration": bins, "reward_calibration_error": 0.11}
    found |= {"matched_steps": 36, "matched_gap": 0.3, "matched_gap_interval": [-0.2, 0.8]}
    found |= {"matched_imagined_return": 6.3, "matched_imagined_return_interval": [5.6, 7.0]}
    found |= {"matched_true_return": 6.0, "matched_true_return_interval": [5.2, 6.8]}
    for name, share, value in (
        ("real", 0.41, 7.9),
        ("sampled", 0.45, 8.1),
        ("untrained", 0.03, 0.4),
        ("random", 0.02, 0.1),
        ("scripted", 0.97, 14.2),
    ):
        found |= {
            f"{name}_success": share,
            f"{name}_success_interval": [max(share - 0.06, 0), min(share + 0.06, 1)],
            f"{name}_ever": min(share + 0.05, 1),
            f"{name}_coverage": 0.2 + share / 2,
            f"{name}_coverage_interval": [0.15 + share / 2, 0.25 + share / 2],
            f"{name}_return": value,
            f"{name}_return_interval": [value - 0.8, value + 0.8],
        }
    return found


def rollout_folder(artifacts: Artifacts, rollout_id: str, dataset_id: str) -> None:
    """Two replays and one of the policy; the imagined one blurs as imagination does."""
    dataset = Dataset.open(artifacts.dataset(dataset_id))
    folder = artifacts.rollout(rollout_id)
    folder.mkdir(parents=True)
    items = []
    for n, kind in enumerate(("replay", "replay", "policy")):
        episode = dataset.episodes[n]
        real = np.array(dataset.frames[episode.start : episode.start + STEPS + 1])
        imagined = np.stack([_dimmed(frame, t) for t, frame in enumerate(real)])
        gap = np.full((len(real), real.shape[1], 2, 3), 255, np.uint8)
        dreamed = np.stack([_dimmed(frame, 2 * t) for t, frame in enumerate(real)])
        videos = {
            "video": np.concatenate([real, gap, imagined], 2),
            "real": real,
            "imagined": imagined,
            "dream": dreamed,
            "difference": heat(real, imagined),
        }
        names = {which: f"{n}_{which}.mp4" for which in videos}
        for which, frames in videos.items():
            write_mp4(folder / names[which], frames, FPS)
        rewards = np.cumsum(np.random.default_rng(n).normal(0.05, 0.2, STEPS))
        items.append(
            {
                "n": n,
                "kind": kind,
                "episode": n if kind == "replay" else None,
                "start": 1 if kind == "replay" else 0,
                **names,
                "psnr": _psnr(imagined[1:], real[1:]),
                "static_psnr": _psnr(np.repeat(real[:1], STEPS, 0), real[1:]),
                "reward_real": rewards.tolist(),
                "reward_imagined": (rewards * 0.9 + 0.05).tolist(),
                "psnr_dream": _psnr(dreamed[1:], real[1:]),
                "reward_dream": (rewards * 0.7).tolist(),
            }
        )
    written = {"fps": FPS, "horizon": STEPS, "items": items}
    (folder / "rollout.json").write_text(json.dumps(written))


def training(
    client: ServiceClient, store: Store, artifacts: Artifacts, dataset: str, seed: int = 0
) -> tuple[Job, Path]:
    """A line whose first job a worker holds; returns that job and its run folder."""
    line = client.pipeline(preset="smoke", dataset_id=dataset, task="push_disc", seed=seed)
    first = next(job for job in line.jobs if job.kind == "global_model")
    job = claim(store, first.id)
    folder = artifacts.run(job.id)
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("loading the dataset\ntraining\n")
    return job, folder


def write_metrics(folder: Path, first: int, count: int) -> None:
    """Append lines as the trainer does, and tell the progress."""
    with (folder / "metrics.jsonl").open("a") as file:
        for step in range(first, first + count):
            values = {"global/loss": 2.0 / (1 + step) ** 0.5, "global/grad_norm": 0.5 + step % 3}
            file.write(json.dumps({"step": step, "time": time.time(), "values": values}) + "\n")
    beside = folder / "progress.part"
    told = {"done": first + count, "total": 1500, "message": "denoiser", "eta_seconds": 95.0}
    beside.write_text(json.dumps({**told, "time": time.time()}))
    beside.replace(folder / "progress.json")


def _dimmed(frame: np.ndarray, t: int) -> np.ndarray:
    wide = frame.astype(np.float32)
    return (wide + (wide.mean((0, 1)) - wide) * min(0.03 * t, 0.6)).round().astype(np.uint8)


def _psnr(left: np.ndarray, right: np.ndarray) -> list[float]:
    error = ((left.astype(float) - right.astype(float)) ** 2).mean((1, 2, 3))
    return (10 * np.log10(255.0**2 / np.maximum(error, 0.07))).tolist()  # type: ignore[no-any-return]
