"""Loop: the local model on logged segments."""

from pathlib import Path

import numpy as np
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from core.data.dataset import Dataset
from core.data.windows import Windows
from core.devices import generator_for
from core.global_model.model import GlobalModel, to_float
from core.jobs.spec import LocalModelSpec
from core.local_model.losses import LossWeights, Segments, local_loss
from core.local_model.model import LocalModel
from core.policy.distillation import Distillation, distillation_loss, imagine_pairs
from core.recorder import Recorder
from core.training.checkpoint import GeneratorState, Stateful
from core.training.descent import descend
from core.training.feed import Batch, Feed, Waits
from core.training.loop import resumable_steps, warm_up_then_cosine

BURN_IN = 6
"""Real frames before the branches of a counterfactual pair part."""


def train_local_model(
    spec: LocalModelSpec,
    model: LocalModel,
    dataset: Dataset,
    recorder: Recorder,
    folder: Path,
    teacher: GlobalModel | None = None,
) -> None:
    """Fit RSSM and heads to logged segments, and to what `teacher` says of actions not taken."""
    device = next(model.parameters()).device
    windows = Windows(dataset, "train", spec.segment, spec.seed)
    generator = generator_for(device, spec.seed)
    optimizer = AdamW(model.parameters(), lr=spec.learning_rate, weight_decay=1e-3)
    schedule = LambdaLR(optimizer, warm_up_then_cosine(spec.steps))
    if spec.start_from is None:  # whose weights belong to its own units
        fit_normalisation(model, dataset, windows)
    weights = LossWeights()
    how = Distillation()
    contexts = Windows(dataset, "train", BURN_IN + how.steps - 1, spec.seed + 1)
    waits = Waits()
    how_many = spec.batch_size, spec.liveliest_of
    feed = Feed(lambda step: windows.batch(step, *how_many), device, waits)
    pairs_feed = Feed(
        lambda step: contexts.batch(step, spec.distillation_pairs),
        device,
        waits,
        stride=spec.distillation_every,
    )
    parts: dict[str, Stateful] = {
        "model": model,
        "optimizer": optimizer,
        "schedule": schedule,
        "generator": GeneratorState(generator),
    }
    for step in resumable_steps(spec.steps, parts, folder, spec.save_every, recorder):
        segments = to_segments(feed.batch(step))
        losses = local_loss(model, segments, weights, generator)
        if teacher is not None and spec.distillation_every and step % spec.distillation_every == 0:
            some = to_segments(pairs_feed.batch(step))
            pairs = imagine_pairs(teacher, some, how, generator)
            losses |= distillation_loss(model, pairs, how)
        norm = descend(sum_of(losses), optimizer, max_grad_norm=100.0)
        schedule.step()
        if (step + 1) % spec.log_every == 0:
            values = {f"local/{name}": loss.item() for name, loss in losses.items()}
            recorder.scalars(step + 1, values | {"local/grad_norm": norm} | waits.metric())
            recorder.progress(step + 1, spec.steps, "local model")


def sum_of(losses: dict[str, torch.Tensor]) -> torch.Tensor:
    """Their sum."""
    return torch.stack(list(losses.values())).sum()


def to_segments(batch: Batch) -> Segments:
    """Windows of a dataset as segments; missing rewards count as zero."""
    actions = batch["actions"]
    return Segments(
        to_float(batch["frames"]),
        actions,
        batch.get("reward", torch.zeros_like(actions[..., 0])),
        batch.get("state"),
    )


def fit_normalisation(model: LocalModel, dataset: Dataset, windows: Windows) -> None:
    """Set the model's means and deviations from logged windows."""
    batch = windows.batch(0, 256)
    model.mean_frame.copy_(to_float(torch.from_numpy(batch["frames"])).mean((0, 1)))
    if "reward" in batch:
        rewards = batch["reward"][:, :-1]
        model.reward_mean.fill_(float(rewards.mean()))
        model.reward_std.fill_(float(max(rewards.std(), 1e-6)))
    if "state" in batch:
        states = batch["state"].reshape(-1, batch["state"].shape[-1])
        model.state_mean.copy_(torch.from_numpy(states.mean(0)))
        model.state_std.copy_(torch.from_numpy(np.maximum(states.std(0), 1e-6)))
