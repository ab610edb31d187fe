"""The global world model: what happens next, and what it earns."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.devices import bf16, normal
from core.global_model.denoiser import Denoiser
from core.global_model.reward import make_reward
from core.global_model.sampler import euler_sample
from core.global_model.schedule import sampling_sigmas
from core.jobs.rewards import RewardKind


@dataclass(frozen=True)
class GlobalConfig:
    """Sizes of a global model; `config.json` beside its weights."""

    image_size: int
    action_dim: int
    context: int
    patch: int
    channels: tuple[int, ...]
    layers_per_block: int
    sigma_max: float
    num_denoising_steps: int
    bf16: bool = True
    reward: RewardKind = "logged"
    num_goals: int = 0
    """Goal frames of the ranking reward."""

    def __post_init__(self) -> None:
        fold = self.patch * 2 ** (len(self.channels) - 1)
        if self.image_size % fold:
            raise ValueError(
                f"frames of {self.image_size} pixels cannot be folded by patch {self.patch} and "
                f"halved {len(self.channels) - 1} times: choose fewer channels or a smaller patch, "
                f"or ingest with an image_size that {fold} divides"
            )


@dataclass(frozen=True)
class Step:
    """One imagined step of a batch."""

    frame: Float[Tensor, "batch 3 height width"]
    reward: Float[Tensor, " batch"]
    terminated: Float[Tensor, " batch"]
    """Probability that the episode ended."""


class GlobalModel(nn.Module):
    """EDM diffusion model p(o' | last frames, last actions) with its reward model."""

    def __init__(self, config: GlobalConfig) -> None:
        super().__init__()
        self.config = config
        self.denoiser = Denoiser(
            image_size=config.image_size,
            action_dim=config.action_dim,
            context=config.context,
            patch=config.patch,
            channels=config.channels,
            layers_per_block=config.layers_per_block,
        )
        self.reward = make_reward(
            config.reward, config.image_size, config.action_dim, config.num_goals
        )
        self.sigmas = sampling_sigmas(config.num_denoising_steps, sigma_max=config.sigma_max)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def step(
        self,
        frames: Float[Tensor, "batch context 3 height width"],
        actions: Float[Tensor, "batch context dim"],
        generator: torch.Generator,
        noise: Tensor | None = None,
    ) -> Step:
        """Imagine the frame after `frames[:, -1]` when `actions[:, -1]` is taken there.

        Frames are in [-1, 1]; the new one is rounded to 8 bits, as a camera's would be, so that
        no hidden signal builds up over imagined steps. `noise` fixes the sampler's noise.
        """
        last = frames[:, -1]
        if noise is None:
            noise = self.noise(len(frames), generator, frames.device)
        with bf16(frames.device, self.config.bf16):
            difference = euler_sample(
                lambda x, sigma: self.denoiser(x, sigma, frames, actions), noise, self.sigmas
            )
            frame = quantise(self.denoiser.to_frame(difference, last))
            reward, terminated = self.reward(frame, actions[:, -1])
        return Step(frame, reward * self.reward.std + self.reward.mean, terminated.sigmoid())

    def noise(self, batch: int, generator: torch.Generator, device: torch.device) -> Tensor:
        """Standard noise for `batch` samples."""
        c = self.config
        side = c.image_size // c.patch
        return normal((batch, 3 * c.patch**2, side, side), generator, device)

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`."""
        folder.joinpath("config.json").write_text(json.dumps(asdict(self.config), indent=2))
        state = {k: v.contiguous() for k, v in self.state_dict().items()}
        save_file(state, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        values = json.loads(folder.joinpath("config.json").read_text())
        model = cls(GlobalConfig(**values | {"channels": tuple(values["channels"])}))
        model.load_state_dict(load_file(folder / "model.safetensors"))
        return model.eval()


def quantise(frame: Tensor) -> Tensor:
    """Clamp to [-1, 1] and round to the 256 values of a stored pixel."""
    return ((frame.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def to_float(frames: Tensor) -> Float[Tensor, "*batch 3 height width"]:
    """Stored frames (..., H, W, 3) u8 to channels-first in [-1, 1]."""
    return frames.movedim(-1, -3).float() / 127.5 - 1


def to_uint8(frames: Tensor) -> Tensor:
    """The inverse of `to_float`."""
    return ((frames + 1) * 127.5).round().to(torch.uint8).movedim(-3, -1)
