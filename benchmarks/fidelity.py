"""How far does imagination stay with held-out reality, step by step, with and without contact?

    python -m benchmarks.fidelity --home .foglab --dataset ds_… --global-model gm_… \\
        --local-model lm_… [--seeds 0 1 2] [--windows 128] [--horizon 24]

From real frames of held-out episodes on, the logged actions are played in the global model. Beside
it: the local model's own dream (what a world model without diffusion would show) and the last real
frame repeated. A step counts as "contact" once the robot has pushed the object since imagination
began. The object's size, which a rigid object keeps, is that of its colour's area. Intervals: 95 %
bootstrap over held-out episodes. Seeds choose windows and the sampler's noise.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.fidelity_curves import PREDICTORS, all_curves, draw_curves, summary_of
from benchmarks.harness import (
    Row,
    Settings,
    key_of,
    measure_rows,
    parser,
    publish,
    work_folder,
)
from benchmarks.similarity import OBJECTS, gmsd, object_size, ssim
from core.artifacts import Artifacts
from core.data.dataset import Dataset
from core.data.windows import Windows
from core.evaluation.contact import touching
from core.evaluation.fidelity import dream, open_loop, psnr
from core.global_model.model import GlobalModel, to_float
from core.local_model.model import LocalModel
from core.stages.setup import device

SEEN = 6
"""Real frames before imagination starts; the global model looks at the last few of them."""
CHUNK = 64
Arrays = dict[str, np.ndarray]


def main() -> None:
    options = parser(__doc__)
    for name in ("dataset", "global-model", "local-model"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--windows", type=int, default=128)
    options.add_argument("--horizon", type=int, default=24)
    chosen = options.parse_args()
    named = {k: getattr(chosen, k) for k in ("dataset", "global_model", "local_model")}
    sizes = {"windows": chosen.windows, "horizon": chosen.horizon}
    grid = [{**named, **sizes, "seed": seed} for seed in chosen.seeds]
    work = work_folder(chosen.home, "fidelity")
    rows = measure_rows(work, grid, partial(one_seed, Artifacts(chosen.home), work))
    publish_rows(rows, work, chosen.results)


def one_seed(artifacts: Artifacts, work: Path, settings: Settings) -> dict[str, Any]:
    """Measure all windows of one seed; their arrays lie beside the row."""
    dataset = Dataset.open(artifacts.existing(artifacts.dataset(settings["dataset"])))
    model = GlobalModel.load(artifacts.existing(artifacts.model(settings["global_model"])))
    local = LocalModel.load(artifacts.existing(artifacts.model(settings["local_model"])))
    batch = held_out(dataset, settings["windows"], settings["horizon"], settings["seed"])
    arrays = measure(
        model.to(device()), local.to(device()), batch, dataset.meta.task, settings["seed"]
    )
    np.savez(work / f"{key_of(settings)}.npz", **arrays)  # type: ignore[arg-type]
    share = float(arrays["contact"][:, -1].mean()) if "contact" in arrays else None
    psnr_by_step = {
        f"{predictor}_psnr": [round(float(v), 3) for v in arrays[f"{predictor}.psnr"].mean(0)]
        for predictor in PREDICTORS
    }
    return {"task": dataset.meta.task, "contact_by_the_end": share, **psnr_by_step}


def held_out(dataset: Dataset, count: int, horizon: int, seed: int) -> Arrays:
    """`count` windows of held-out episodes, (count, SEEN + horizon, …), with `episode` (count,)."""
    windows = Windows(dataset, "validation", SEEN + horizon)
    starts = windows.starts()
    chosen = np.random.default_rng(seed).choice(starts, size=count, replace=count > len(starts))
    first_rows = np.array([e.start for e in dataset.validation])
    episode = np.searchsorted(first_rows, chosen, side="right") - 1
    return {**windows.at(chosen), "episode": episode}


def measure(
    model: GlobalModel, local: LocalModel, batch: Arrays, task: str | None, seed: int
) -> Arrays:
    """Every metric of every predictor, `<predictor>.<metric>` (count, horizon); `episode`;
    `contact` (count, horizon), whether there was any so far, where the task tells."""
    generator = torch.Generator().manual_seed(seed)
    parts: list[Arrays] = []
    for i in range(0, len(batch["frames"]), CHUNK):
        frames = to_float(torch.from_numpy(batch["frames"][i : i + CHUNK]).to(device()))
        actions = torch.from_numpy(batch["actions"][i : i + CHUNK]).to(device())
        before = SEEN - model.config.context
        real = frames[:, SEEN:]
        imagined = {
            "global": open_loop(model, frames[:, before:], actions[:, before:], generator)[0],
            "local": dream(local, frames, actions, SEEN)[0],
            "still": frames[:, SEEN - 1 : SEEN].expand_as(real),
        }
        parts.append(
            {
                f"{predictor}.{metric}": values
                for predictor, video in imagined.items()
                for metric, values in compare(video, real, task).items()
            }
        )
    arrays = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    if task in OBJECTS and "state" in batch:
        touched = touching(task, batch["state"])[:, SEEN:]
        arrays["contact"] = np.logical_or.accumulate(touched, axis=1)
    return arrays | {"episode": batch["episode"]}


def compare(video: Tensor, real: Tensor, task: str | None) -> Arrays:
    """Metrics of frames (batch, horizon, 3, H, W) against real ones, each (batch, horizon)."""
    ours, theirs = video.flatten(0, 1), real.flatten(0, 1)
    found = {"psnr": psnr(ours, theirs), "ssim": ssim(ours, theirs), "gmsd": gmsd(ours, theirs)}
    if task in OBJECTS:
        (area, radius), (true_area, true_radius) = (
            object_size(f, *OBJECTS[task]) for f in (ours, theirs)
        )
        seen = true_area >= 1  # not out of the picture: there is nothing to compare with
        found["size_error"] = (100 * (area / true_area - 1).abs()).where(seen, torch.nan)
        found["spread_error"] = (100 * (radius / true_radius - 1).abs()).where(seen, torch.nan)
    return {k: v.unflatten(0, video.shape[:2]).float().cpu().numpy() for k, v in found.items()}


def publish_rows(rows: Sequence[Row], work: Path, results: Path) -> Path:
    """Pool the windows of all seeds; curves with intervals, and their values at a few steps."""
    stored = [np.load(work / f"{key_of(row.settings)}.npz") for row in rows]
    arrays = {name: np.concatenate([s[name] for s in stored]) for name in stored[0].files}
    curves = all_curves(arrays)
    seeds = [row.settings["seed"] for row in rows]
    task = rows[0]["task"] or rows[0]["dataset"]
    extra = {
        "task": task,
        "windows": len(arrays["episode"]),
        "episodes": len(np.unique(arrays["episode"])),
        "curves": curves,
    }
    claim = f"{task}: how near imagined frames stay to held-out real ones"
    draw: Callable[[Figure], None] = partial(draw_curves, curves=curves, task=task)
    return publish(f"fidelity_{task}", claim, rows, summary_of(curves, seeds), draw, results, extra)


if __name__ == "__main__":
    main()
