"""Loop: the reward model, fitted to logged rewards, to success labels, or to the order of time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from core.data.dataset import Dataset
from core.data.windows import Windows
from core.devices import bf16
from core.global_model.model import GlobalModel, to_float
from core.global_model.reward import LoggedReward, RankingReward, SuccessReward
from core.jobs.spec import GlobalModelSpec
from core.recorder import Recorder
from core.training.checkpoint import Stateful
from core.training.descent import descend
from core.training.feed import Feed, Waits
from core.training.loop import resumable_steps, warm_up_then_cosine
from core.training.ranking import Passages, ranking_loss
from core.training.reward_data import arrived_rows, goal_rows, success_ahead

LossAt = Callable[[int], Tensor]
"""Loss of the batch of a step."""
BATCH = 128
PASSAGES, FRAMES = 64, 4
"""Pieces of episodes in a batch of the ranking reward, and frames compared in each."""
NEAR = 0.2
"""Discounted success above which a frame counts as leading to success, for the balance of a batch."""
NORMALISED_ON = 4096


def train_reward(
    spec: GlobalModelSpec, model: GlobalModel, dataset: Dataset, recorder: Recorder, folder: Path
) -> None:
    """Fit the reward model to what its kind learns from."""
    reward = model.reward
    waits = Waits()
    loss_at = losses(spec, model, dataset, waits)
    optimizer = AdamW(reward.parameters(), lr=1e-3, weight_decay=1e-3)
    schedule = LambdaLR(optimizer, warm_up_then_cosine(spec.reward_steps))
    parts: dict[str, Stateful] = {"reward": reward, "optimizer": optimizer, "schedule": schedule}
    for step in resumable_steps(spec.reward_steps, parts, folder, spec.save_every, recorder):
        with bf16(reward.mean.device, model.config.bf16):
            loss = loss_at(step)
        descend(loss, optimizer, max_grad_norm=10.0)
        schedule.step()
        if (step + 1) % spec.log_every == 0:
            recorder.scalars(step + 1, {"global/reward_loss": loss.item()} | waits.metric())
            recorder.progress(step + 1, spec.reward_steps, "reward model")
    normalise(model, dataset, spec.seed)


def losses(spec: GlobalModelSpec, model: GlobalModel, dataset: Dataset, waits: Waits) -> LossAt:
    """The loss of the model's reward kind, on the dataset."""
    match model.reward:
        case LoggedReward() as reward:
            return regression(spec, reward, dataset, waits)
        case SuccessReward() as reward:
            return classification(spec, reward, dataset, waits)
        case RankingReward() as reward:
            return ranking(spec, reward, dataset, waits)
    raise AssertionError(model.reward.kind)


def regression(
    spec: GlobalModelSpec, reward: LoggedReward, dataset: Dataset, waits: Waits
) -> LossAt:
    """Squared error of logged rewards and of their changes, and termination where it is logged.

    A change over a step is a small part of the reward and all that an action decides; asked for
    in units of its own deviation, it is not lost in the rest. Changes do not tell an offset, so
    that much weight on them leaves the value off for long (docs/ablations.md).
    """
    windows, device = Windows(dataset, "train", FRAMES + 1, spec.seed + 1), reward.mean.device
    sample = windows.batch(0, 1024)["reward"][:, :-1]
    if spec.start_from is None:  # whose weights belong to its own units
        reward.mean.fill_(float(sample.mean()))
        reward.std.fill_(float(max(sample.std(), 1e-6)))
    feed = Feed(lambda step: windows.batch(step, PASSAGES), device, waits)
    change = max(float(np.diff(sample).std() / sample.std().clip(1e-6)), 0.02)
    change_weight = spec.reward_change_weight / change**2

    def loss_at(step: int) -> Tensor:
        batch = feed.batch(step)
        frames, actions = to_float(batch["frames"][:, 1:]), batch["actions"][:, :-1]
        target = (batch["reward"][:, :-1] - reward.mean) / reward.std
        outputs = reward(frames.flatten(0, 1), actions.flatten(0, 1))
        predicted, end = (o.unflatten(0, target.shape) for o in outputs)
        missed = predicted - target
        loss: Tensor = (missed**2).mean() + change_weight * (missed.diff(dim=1) ** 2).mean()
        if "terminated" in batch:
            loss = loss + cross_entropy(end, batch["terminated"][:, :-1].float())
        return loss

    return loss_at


def classification(
    spec: GlobalModelSpec, reward: SuccessReward, dataset: Dataset, waits: Waits
) -> LossAt:
    """Cross-entropy of success, now and soon, and of termination where it is logged.

    A frame n steps before success counts as success with weight `success_discount` to the n.
    Half of a batch are frames that lead to success, however rare they are.
    """
    soon, device = success_ahead(dataset, spec.success_discount), reward.mean.device
    rows = arrived_rows(dataset)
    groups = [some for some in (rows[soon[rows] > NEAR], rows[soon[rows] <= NEAR]) if len(some)]

    def make(step: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((spec.seed + 1, step))
        drawn = np.concatenate([rng.choice(some, BATCH // len(groups)) for some in groups])
        made = {"frames": dataset.frames[drawn], "ahead": soon[drawn]}
        if dataset.terminated is not None:
            made["ended"] = dataset.terminated[drawn - 1]
        return made

    feed = Feed(make, device, waits)

    def loss_at(step: int) -> Tensor:
        batch = feed.batch(step)
        ahead = batch["ahead"]
        ahead_logit, success, end = reward.logits(to_float(batch["frames"]))
        loss = cross_entropy(ahead_logit, ahead) + cross_entropy(success, (ahead == 1).float())
        if "ended" in batch:
            loss = loss + cross_entropy(end, batch["ended"].float())
        return loss

    return loss_at


def ranking(spec: GlobalModelSpec, reward: RankingReward, dataset: Dataset, waits: Waits) -> LossAt:
    """Bradley-Terry on frames in the order they came; no labels."""
    passages = Passages.of(dataset, spec.goal_horizon, FRAMES, spec.seed + 1)
    device = reward.mean.device
    goals = np.asarray(dataset.frames)[goal_rows(dataset, spec.goals)]
    reward.set_goals(torch.from_numpy(goals).to(device))

    feed = Feed(
        lambda step: {"frames": dataset.frames[passages.batch(step, PASSAGES)]}, device, waits
    )

    def loss_at(step: int) -> Tensor:
        frames = to_float(feed.batch(step)["frames"])
        embedded = reward.encoder(frames.flatten(0, 1))
        return ranking_loss(embedded.unflatten(0, frames.shape[:2]))

    return loss_at


@torch.no_grad()
def normalise(model: GlobalModel, dataset: Dataset, seed: int) -> None:
    """Set a learned score's mean and deviation over training frames; logged rewards have theirs."""
    reward = model.reward
    if not isinstance(reward, SuccessReward | RankingReward):
        return
    rows = np.random.default_rng(seed).choice(arrived_rows(dataset), NORMALISED_ON)
    scores = torch.cat(
        [
            reward.score(frames_at(dataset, some, reward.mean.device))
            for some in rows.reshape(-1, 256)
        ]
    )
    reward.mean.copy_(scores.mean())
    reward.std.copy_(scores.std().clamp(min=1e-6))


def frames_at(dataset: Dataset, rows: np.ndarray, device: torch.device) -> Tensor:
    """Frames (rows, 3, H, W) in [-1, 1]."""
    return to_float(torch.from_numpy(dataset.frames[rows]).to(device))
