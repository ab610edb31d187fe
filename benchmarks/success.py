"""Does a policy trained only in imagination work in the true simulator? Several seeds, intervals.

    python -m benchmarks.success --home .foglab --dataset ds_… --global-model gm_… \\
        --local-model lm_… [--task push_disc] [--seeds 0 1 2] [--episodes 100]

Trains one policy per seed on models that exist (those of `make demo`, say) and judges each in the
true simulator, beside an untrained policy, random actions and the scripted expert. Resumable: run
it again after an interruption. Writes a table to `benchmarks/results/success.json`.
"""

import argparse
import hashlib
import importlib.metadata
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.sampler import cpu
from core.artifacts import Artifacts, StagePaths
from core.evaluation.success import share_interval
from core.jobs.spec import EvaluateSpec, PolicySpec
from core.recorder import NullRecorder
from core.stages import evaluate, policy

RESULTS = Path(__file__).parent / "results" / "success.json"


class Progress(NullRecorder):
    """Says where the training is, once a minute."""

    def __init__(self) -> None:
        self.last = 0.0

    def progress(self, done: int, total: int, message: str = "") -> None:
        if time.monotonic() - self.last > 60:
            self.last = time.monotonic()
            print(f"  {message} {done}/{total}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--home", type=Path, default=Path(".foglab"))
    for name in ("dataset", "global-model", "local-model"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--task", default="push_disc")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--episodes", type=int, default=100)
    chosen = options.parse_args()
    rows = [one_seed(chosen, seed) for seed in chosen.seeds]
    total = chosen.episodes * len(rows)
    wins = round(sum(row["real_success"] for row in rows) * chosen.episodes)
    table = {
        "task": chosen.task,
        "episodes_per_seed": chosen.episodes,
        "success": wins / total,
        "success_interval": share_interval(wins, total),
        "success_by_seed": [row["real_success"] for row in rows],
        "machine": f"{cpu()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "diffusers": importlib.metadata.version("diffusers"),
        "rows": rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(table, indent=1) + "\n")
    print(json.dumps({k: v for k, v in table.items() if k != "rows"}, indent=1))


def one_seed(chosen: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train and judge one policy; what was finished before is read back."""
    artifacts = Artifacts(chosen.home)
    work = chosen.home / "benchmarks" / f"{chosen.local_model}-{seed}"
    done = work / "row.json"
    if done.exists():
        row: dict[str, Any] = json.loads(done.read_text())
        return row
    name = f"pi_{hashlib.sha256(str(work).encode()).hexdigest()[:16]}"
    out = artifacts.model(name)
    out.mkdir(parents=True, exist_ok=True)
    spec = PolicySpec(
        dataset=chosen.dataset,
        global_model=chosen.global_model,
        local_model=chosen.local_model,
        seed=seed,
    )
    print(f"seed {seed}", flush=True)
    started = time.monotonic()
    trained = policy.run(spec, StagePaths(artifacts, work / "checkpoints", out), Progress())
    seconds = time.monotonic() - started
    judged = EvaluateSpec(
        dataset=chosen.dataset,
        global_model=chosen.global_model,
        policy=name,
        task=chosen.task,
        episodes=chosen.episodes,
        seed=1000 + seed,
    )
    found = evaluate.run(judged, StagePaths(artifacts, work, work), NullRecorder())
    kept = ("real", "untrained", "random", "scripted")
    row = {
        "seed": seed,
        "policy_seconds": round(seconds, 1),
        "imagined_frames": trained["imagined_frames"],
        **{k: v for k, v in found.items() if k.split("_")[0] in kept},
        "mean_return_standard_error": _standard_error(found["real_return_interval"]),
    }
    done.write_text(json.dumps(row))
    return row


def _standard_error(interval: tuple[float, float]) -> float:
    return float(np.ptp(interval) / (2 * 1.96))


if __name__ == "__main__":
    main()
