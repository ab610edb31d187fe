"""Loop: the policy that does what the logs did."""

import dataclasses
import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from core.data.dataset import Dataset, EpisodeInfo
from core.data.windows import Windows
from core.global_model.model import to_float
from core.jobs.spec import PolicySpec
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor
from core.recorder import Recorder
from core.training.checkpoint import Stateful
from core.training.descent import descend
from core.training.feed import Feed, Waits
from core.training.loop import resumable_steps, warm_up_then_cosine


def train_behaviour_cloning(
    spec: PolicySpec,
    actor: Actor,
    local: LocalModel,
    dataset: Dataset,
    recorder: Recorder,
    folder: Path,
) -> None:
    """Each step: `actor_updates` regressions of logged actions on the local model's latent.

    A batch is `environments` segments of `horizon` frames, as many as an imagined rollout has. The
    loss is the squared error of the action without noise, which is what acts. The local model
    only filters; it stays as it is.
    """
    device = next(actor.parameters()).device
    windows = Windows(
        best_episodes(dataset, spec.clone_share), "train", spec.horizon + 1, spec.seed
    )
    waits = Waits()
    feed = Feed(lambda number: windows.batch(number, spec.environments), device, waits)
    adam = Adam(actor.parameters(), lr=spec.actor_learning_rate)
    schedule = LambdaLR(adam, warm_up_then_cosine(spec.steps * spec.actor_updates))
    parts: dict[str, Stateful] = {"actor": actor, "adam": adam, "schedule": schedule}
    for step in resumable_steps(spec.steps, parts, folder, spec.save_every, recorder):
        for i in range(spec.actor_updates):
            batch = feed.batch(step * spec.actor_updates + i)
            frames, actions = to_float(batch["frames"][:, :-1]), batch["actions"][:, :-1]
            loss = cloning_loss(actor, filtered(local, frames, actions), actions)
            norm = descend(loss, adam, max_grad_norm=1.0)
            schedule.step()
        if (step + 1) % spec.log_every == 0:
            recorder.scalars(
                step + 1,
                {
                    "policy/cloning_loss": loss.item(),
                    "policy/actor_grad_norm": norm,
                    "policy/imagined_frames": 0,
                    **waits.metric(),
                },
            )
            recorder.progress(step + 1, spec.steps, "policy by cloning")


def cloning_loss(
    actor: Actor, features: Float[Tensor, "*batch features"], actions: Float[Tensor, "*batch dim"]
) -> Tensor:
    """Mean squared error of the policy's mode; its deviation follows the error that remains.

    The deviation matters to a policy that goes on learning from here, not to one that acts.
    """
    policy = actor(features)
    errors = (policy.mode - actions) ** 2
    remaining = 0.5 * errors.detach().mean().clamp(min=1e-3).log()
    loss: Tensor = errors.mean() + 0.01 * ((policy.std.log() - remaining) ** 2).mean()
    return loss


@torch.no_grad()
def filtered(
    local: LocalModel,
    frames: Float[Tensor, "batch length 3 height width"],
    actions: Float[Tensor, "batch length dim"],
) -> Float[Tensor, "batch length features"]:
    """Latent features at each frame, filtered from the first on, as a policy that acts has them."""
    embeds = local.encode(frames)
    state = local.rssm.initial(len(frames), frames.device)
    before, features = torch.zeros_like(actions[:, 0]), []
    for t in range(frames.shape[1]):
        state = local.rssm.observe(state, before, embeds[:, t])
        before = actions[:, t]
        features.append(state.features)
    return torch.stack(features, 1)


def best_episodes(dataset: Dataset, share: float) -> Dataset:
    """The dataset with the best `share` of its training episodes, by mean reward per step.

    Raises:
        ValueError: a share below 1 is asked for where there are no rewards to choose by.
    """
    if share == 1:
        return dataset
    rewards = dataset.reward
    if rewards is None:
        raise ValueError(
            f"clone_share is {share}, but the dataset has no rewards to tell its best episodes: "
            "set clone_share to 1, or use a global model with a reward model"
        )

    def worth(episode: EpisodeInfo) -> float:
        steps = max(1, episode.length - 1)
        return float(rewards[episode.start : episode.start + steps].mean())

    ranked = sorted(dataset.train, key=worth, reverse=True)
    kept = ranked[: math.ceil(share * len(ranked))]
    return dataclasses.replace(dataset, episodes=(*kept, *dataset.validation))
