"""Is imagination still like the data? Measures of imagined rollouts, 1 being usual on held-out episodes."""

import copy
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from core.data.dataset import Dataset
from core.data.windows import Windows
from core.devices import generator_for, upload
from core.global_model.model import GlobalModel, to_float
from core.local_model.losses import kl_divergence
from core.local_model.model import LocalModel
from core.local_model.rssm import State
from core.policy.rollout import ImaginedRollout

BANK = 2048
"""Frames of the dataset among which an imagined frame looks for its nearest."""
HELD_OUT = 64
"""Held-out segments that say what is usual."""
LOOKED_AT = 24
"""Imagined environments that are looked at in each check."""
STEP_OF_A_PIXEL = 2 / 255


class Seen(NamedTuple):
    """How a local model saw a batch of segments, from their first imagined frame on."""

    embeds: Float[Tensor, "batch steps embed"]
    surprise: Float[Tensor, "batch steps"]
    """KL from what it expected to what came, in nats."""
    reward_gap: Float[Tensor, "batch steps"]
    """Its own reward minus the given one."""


class Trust:
    """Measures of rollouts relative to the same on episodes that no model was trained on.

    - disagreement: two samples of one step, the same context and action with other noise; the
      root mean square of their difference, in the frame or in the reward, whichever is larger;
    - data_distance: imagined frames' distance to the nearest of the dataset, as the local model
      embeds them; relative to the 95th percentile of held-out frames' distances;
    - surprise: KL of the local model, which was fitted to real episodes only;
    - reward_gap: the global model's rewards against the local model's.

    A copy of the local model as it was at the start does the measuring: the one in training
    follows the global model wherever it goes.
    """

    def __init__(
        self,
        dataset: Dataset,
        model: GlobalModel,
        local: LocalModel,
        span: int,
        seed: int,
    ) -> None:
        self.model = model
        self.local = copy.deepcopy(local).eval().requires_grad_(False)
        self.device = model.denoiser.device
        self.context = model.config.context
        self.seed = seed
        longest = max((e.length for e in dataset.validation), default=0)
        self.length = max(self.context + 1, min(span, longest))
        self.windows = Windows(dataset, "validation", self.length, seed)
        self.bank_frames = Windows(dataset, "train", 1, seed)
        self.usual: dict[str, Tensor] | None = None

    @torch.no_grad()
    def measure(self, rollout: ImaginedRollout, number: int) -> dict[str, float]:
        """Measures of a rollout by name; depends on the models, the rollout and (seed, number)."""
        if self.usual is None:
            self._learn_what_is_usual(len(rollout.rewards))
        assert self.usual is not None
        last = slice(-self.context - 1, -1)
        sampled = self._disagreement(
            rollout.frames[:, last],
            rollout.past_actions[:, last],
            generator_for(self.device, self.seed + number),
            first=(rollout.frames[:, -1], rollout.rewards[:, -1]),
        )
        some = (slice(0, LOOKED_AT), slice(0, self.length))
        seen = self._see(
            rollout.frames[some], rollout.past_actions[some], rollout.past_rewards[some]
        )
        found = {
            "disagreement": sampled,
            "data_distance": self._distance(seen.embeds).mean(),
            "surprise": seen.surprise.mean(),
            "reward_gap": rms(seen.reward_gap),
        }
        relative = [(found[name] / usual).amax() for name, usual in self.usual.items()]
        return dict(zip(self.usual, torch.stack(relative).tolist(), strict=True))

    def _learn_what_is_usual(self, batch_size: int) -> None:
        frames = self.bank_frames.batch(0, BANK)["frames"][:, 0]
        parts = [upload(frames[i : i + 256], self.device) for i in range(0, BANK, 256)]
        self.bank = torch.cat([self.local.encode(to_float(part)) for part in parts])
        held_out = {k: upload(v, self.device) for k, v in self.windows.batch(0, HELD_OUT).items()}
        seen = self._see(to_float(held_out["frames"]), held_out["actions"], held_out["reward"])
        batch = self.windows.batch(1, batch_size)  # a rollout's size: compiled once
        sampled = self._disagreement(
            to_float(upload(batch["frames"][:, : self.context], self.device)),
            upload(batch["actions"][:, : self.context], self.device),
            generator_for(self.device, self.seed),
        )
        least = torch.tensor([STEP_OF_A_PIXEL, 1e-3 * float(self.local.reward_std)])
        self.usual = {
            "disagreement": torch.maximum(sampled, least.to(self.device)),
            "data_distance": self._distance(seen.embeds).flatten().quantile(0.95).clamp(min=1e-6),
            "surprise": seen.surprise.mean().clamp(min=1e-6),
            "reward_gap": rms(seen.reward_gap).clamp(min=1e-6),
        }

    def _disagreement(
        self,
        frames: Tensor,
        actions: Tensor,
        generator: torch.Generator,
        first: tuple[Tensor, Tensor] | None = None,
    ) -> Float[Tensor, "2"]:
        """Root mean square differences of frame and reward between two samples of one step."""
        if first is None:
            step = self.model.step(frames, actions, generator)
            first = (step.frame, step.reward)
        again = self.model.step(frames, actions, generator)
        return torch.stack([rms(first[0] - again.frame), rms(first[1] - again.reward)])

    def _see(self, frames: Tensor, actions: Tensor, rewards: Tensor) -> Seen:
        """Filter segments; `rewards[:, t]` was earned by `actions[:, t]`."""
        rssm = self.local.rssm
        embeds = self.local.encode(frames)
        state, before = rssm.initial(len(frames), frames.device), torch.zeros_like(actions[:, 0])
        surprises, gaps = [], []
        for t in range(frames.shape[1]):
            deter = rssm.advance(state, before)
            posterior = rssm.posterior(deter, embeds[:, t])
            state, before = State(deter, posterior.mean), actions[:, t]
            if t >= self.context:
                surprises.append(kl_divergence(posterior, rssm.prior(deter)))
                gaps.append(self.local.reward(state) - rewards[:, t - 1])
        return Seen(embeds[:, self.context :], torch.stack(surprises, 1), torch.stack(gaps, 1))

    def _distance(self, embeds: Tensor) -> Float[Tensor, " frames"]:
        return torch.cdist(embeds.flatten(0, 1), self.bank).amin(1)


def rms(values: Tensor) -> Float[Tensor, ""]:
    """Root mean square."""
    return (values**2).mean().sqrt()
