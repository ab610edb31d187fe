"""Stage: a policy as files that run without this service, compared with the original."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from core.artifacts import StagePaths
from core.data.dataset import Dataset
from core.jobs.spec import PolicyExportSpec
from core.policy.formats import WRITERS
from core.policy.parity import BATCHES, compare, real_frames
from core.policy.runners import INPUTS, OPENERS, OUTPUTS, of_module
from core.policy.samples import write_samples
from core.policy.step import PolicyStep
from core.recorder import Recorder

FOLDER = "policy"
"""Of the exported policy, in the artifact's folder."""


def run(spec: PolicyExportSpec, paths: StagePaths, recorder: Recorder) -> dict[str, JsonValue]:
    """Write `policy/`; `ValueError` if an action differs from the original's by too much."""
    artifacts = paths.artifacts
    source = artifacts.existing(artifacts.model(spec.policy))
    dataset = Dataset.open(artifacts.existing(artifacts.dataset(_dataset_of(spec, source))))
    step = PolicyStep.of_folder(source)
    if dataset.meta.image_size != (step.config.local.image_size,) * 2:
        raise ValueError(
            f"policy {spec.policy} sees {step.config.local.image_size} pixels a side, dataset "
            f"{dataset.path.parent.name} has {dataset.meta.image_size}: choose another dataset"
        )
    root = paths.out / FOLDER
    root.mkdir()
    _write(root / "config.json", {**step.sizes(), **_told(spec, dataset)})
    formats = tuple(dict.fromkeys(spec.formats))
    for n, format in enumerate(formats):
        recorder.raise_if_cancelled()
        recorder.progress(n, len(formats) + 1, f"writing {format}")
        WRITERS[format](step, root)
    write_samples(root, formats)
    recorder.progress(len(formats), len(formats) + 1, "comparing with the original")
    report = _parity(spec, step, dataset, root, formats)
    _write(root / "parity.json", report)
    recorder.progress(len(formats) + 1, len(formats) + 1, "done")
    files = [p for p in root.rglob("*") if p.is_file()]
    return {
        "formats": list(formats),
        "max_action_difference": report["max_action_difference"],
        "parity": report,
        "files": len(files),
        "bytes": sum(p.stat().st_size for p in files),
    }


def _dataset_of(spec: PolicyExportSpec, source: Path) -> str:
    if spec.dataset is not None:
        return spec.dataset
    try:
        found: str = json.loads((source / "spec.json").read_bytes())["dataset"]
    except FileNotFoundError:
        raise ValueError(
            f"policy {spec.policy} does not say what it was trained on: name a dataset"
        ) from None
    return found


def _told(spec: PolicyExportSpec, dataset: Dataset) -> dict[str, Any]:
    """What a user of the files has to know of frames and actions."""
    ingest = dataset.meta.spec
    return {
        "policy": spec.policy,
        "inputs": dict(zip(INPUTS, ("uint8", "float32", "bool", "float32"), strict=True)),
        "outputs": dict.fromkeys(OUTPUTS, "float32"),
        "action_range": [-1, 1],
        "action_kind": dataset.meta.action_kind,
        "action_names": list(dataset.meta.names.get("actions", ())),
        "fps": dataset.meta.fps,
        "pictures": {k: ingest[k] for k in ("crop", "flip", "fit") if k in ingest},
    }


def _parity(
    spec: PolicyExportSpec, step: PolicyStep, dataset: Dataset, root: Path, formats: tuple[str, ...]
) -> dict[str, Any]:
    frames, begins = real_frames(dataset)
    original = of_module(step)
    dims = step.config.state_dim, step.config.actor.action_dim
    found = {
        format: compare(original, OPENERS[format](root), frames, begins, *dims)
        for format in formats
    }
    worst = {f: max(b["action"] for b in by.values()) for f, by in found.items()}
    for format, difference in worst.items():
        if not difference <= spec.tolerance:
            raise ValueError(
                f"the {format} export's actions differ from the policy's by {difference:.1e}, more "
                f"than the tolerance of {spec.tolerance:.1e}: raise tolerance if that will do"
            )
    versions = {p: _version(p) for p in ("torch", "onnx", "onnxruntime")}
    return {
        "max_action_difference": max(worst.values()),
        "tolerance": spec.tolerance,
        "frames": len(frames),
        "dataset": dataset.path.parent.name,
        "batch_sizes": list(BATCHES),
        "formats": found,
        "versions": {p: v for p, v in versions.items() if v},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
