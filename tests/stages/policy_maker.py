"""A policy that was never trained but acts on what it sees, exported once for all tests."""

import json
from pathlib import Path

import torch

from core.artifacts import Artifacts, StagePaths
from core.jobs.spec import PolicyExportSpec
from core.policy.actor_critic import Actor
from core.recorder import NullRecorder, Recorder
from core.stages import run_stage
from tests.training.makers import bar_dataset, local_model, small_actor

DATASET, POLICY = "ds_00000000", "pi_00000000"


def eager_actor() -> Actor:
    """Actions of all sizes: a new actor's are all close to zero."""
    torch.manual_seed(1)
    actor = small_actor()
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return actor.eval()


def make_policy(home: Path) -> None:
    """A dataset and a policy under `home`, as jobs leave them."""
    artifacts = Artifacts(home)
    bar_dataset(artifacts.dataset(DATASET))
    folder = artifacts.model(POLICY)
    (folder / "local").mkdir(parents=True)
    eager_actor().save(folder)
    local_model().save(folder / "local")
    (folder / "spec.json").write_text(json.dumps({"dataset": DATASET}))


def export(
    home: Path, out: Path, recorder: Recorder | None = None, **fields: object
) -> dict[str, object]:
    """Run the export stage into `out`; returns the job's result."""
    out.mkdir(parents=True)
    spec = PolicyExportSpec.model_validate({"policy": POLICY} | fields)
    paths = StagePaths(Artifacts(home), home / "checkpoints", out)
    return dict(run_stage(spec, paths, recorder or NullRecorder()))
