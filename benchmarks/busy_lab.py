"""An installation after months of work: many jobs, datasets and episodes, made in a minute.

Rows and files are those of the real store and writers; what a training would have made is small.
"""

import json
from contextlib import closing
from pathlib import Path

import numpy as np

from core.artifacts import Artifacts
from core.data.episode import Episode
from core.data.writer import DatasetWriter
from core.jobs.migrate import upgrade
from core.jobs.records import Job, NewArtifact
from core.jobs.spec import (
    EvaluateSpec,
    GlobalModelSpec,
    IngestSpec,
    LocalModelSpec,
    PolicySpec,
    Spec,
)
from core.jobs.store import Store

LENGTH, SIDE = 6, 16
LARGEST = 0.5
"""Share of all episodes that one dataset holds."""
STEPS = 1500


def fill(home: Path, jobs: int, datasets: int, episodes: int) -> str:
    """Make it under `home`, an empty folder; returns a token."""
    home.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{home / 'foglab.db'}"
    upgrade(url)
    with closing(Store.open(url)) as store:
        artifacts = Artifacts(home.resolve())
        store.register_upload("up_" + "0" * 32, "logs.zip", 10, "0" * 64)
        large = int(episodes * LARGEST)
        each = (episodes - large) // (datasets - 1)
        counts = [each] * (datasets - 2) + [episodes - large - each * (datasets - 2), large]
        made = [_dataset(store, artifacts, n, count) for n, count in enumerate(counts)]
        _jobs(store, artifacts, made, jobs - datasets)
        return store.create_token("pages")


def _dataset(store: Store, artifacts: Artifacts, n: int, episodes: int) -> str:
    rng = np.random.default_rng(n)
    name = f"robot {n:03}"
    spec = IngestSpec(upload="up_" + "0" * 32, name=name)
    job = _claimed(store, spec, name)
    with DatasetWriter(artifacts.dataset(job.output_id)) as writer:
        for i in range(episodes):
            writer.append(
                Episode(
                    rng.integers(0, 256, (LENGTH, SIDE, SIDE, 3), np.uint8),
                    rng.uniform(-1, 1, (LENGTH - 1, 2)).astype(np.float32),
                    state=rng.normal(size=(LENGTH, 4)).astype(np.float32),
                    reward=rng.normal(size=LENGTH - 1).astype(np.float32),
                    source=f"episode_{i:05}.npz",
                )
            )
        writer.finish(name=name, fps=10, action_kind="delta")
    _succeed(store, job, {"episodes": episodes})
    return job.output_id


def _jobs(store: Store, artifacts: Artifacts, datasets: list[str], count: int) -> None:
    """Lines of training on one dataset after the other; some fail, some wait."""
    n = 0
    while n < count:
        dataset = datasets[-1 - n % len(datasets)]
        data = {"dataset": dataset, "seed": n % 7}
        world = _trained(store, artifacts, GlobalModelSpec.model_validate(data), n)
        local = _trained(store, artifacts, LocalModelSpec.model_validate(data), n)
        both = data | {"global_model": world.output_id, "local_model": local.output_id}
        policy = _trained(store, artifacts, PolicySpec.model_validate(both), n)
        judged = _claimed(
            store, EvaluateSpec.model_validate(both | {"policy": policy.output_id}), n
        )
        _succeed(store, judged, _figures(n))
        n += 4
        if n < count and n % 40 == 0:
            failing = _claimed(store, GlobalModelSpec.model_validate(data), n)
            store.fail(failing.id, failing.epoch, "Out of memory: use a smaller batch_size")
            n += 1
        if n < count and n % 60 == 1:
            store.submit(GlobalModelSpec.model_validate(data), f"waiting {n}")
            n += 1


def _trained(store: Store, artifacts: Artifacts, spec: Spec, n: int) -> Job:
    job = _claimed(store, spec, n)
    folder = artifacts.model(job.output_id)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"image_size": SIDE}))
    (folder / "spec.json").write_text(spec.model_dump_json())
    if n % 20 == 0:
        run = artifacts.run(job.id)
        run.mkdir(parents=True)
        losses = [
            {"step": step, "time": 1e9 + step, "values": {"loss": 2 / (1 + step), "norm": 1.0}}
            for step in range(0, STEPS, 2)
        ]
        (run / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in losses))
    _succeed(store, job, {"loss": 0.1, "parameters": 1_100_000})
    return job


def _figures(n: int) -> dict[str, object]:
    psnr = [34.0 - 0.2 * t for t in range(20)]
    found = {"psnr": psnr, "static_psnr": [p - 6 for p in psnr], "psnr_1": psnr[0]}
    return {**found, "static_psnr_1": psnr[0] - 6, "reward_correlation": 0.9 - n % 10 / 100}


def _claimed(store: Store, spec: Spec, name: object) -> Job:
    job = store.submit(spec, name if isinstance(name, str) else f"line {name}: {spec.kind}")  # type: ignore[attr-defined]
    claimed = store.claim(job.id, "pages")
    assert claimed is not None
    return claimed


def _succeed(store: Store, job: Job, summary: dict[str, object]) -> None:
    spec_inputs = tuple(v for k, v in job.spec.items() if k in _INPUTS and v)
    made = NewArtifact.model_validate({"summary": summary, "lineage": spec_inputs})
    store.succeed(job.id, job.epoch, made.summary, made)


_INPUTS = ("upload", "dataset", "global_model", "local_model", "policy")
