"""The diffusers network as a denoiser of the normalised difference to the last frame."""

import logging
import math
import shutil

import torch
from diffusers import UNet2DModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from core.global_model.preconditioning import c_in, c_noise, c_out, c_skip

log = logging.getLogger(__name__)


def norm_groups(channels: tuple[int, ...]) -> int:
    """Groups that divide every level, of about 32 channels: few, which bf16 on CPU likes."""
    return max(1, math.gcd(*channels) // 32)


class Denoiser(ModelMixin, ConfigMixin):
    """U-Net on patchified pixels; past frames stacked on channels (DIAMOND, Alonso et al. 2024).

    It works on `x = (next frame - last frame) / diff_std`, which has unit variance, because a
    few-step sampler then starts from a small error instead of from a blank frame. Actions enter
    as constant planes, which place them at every pixel, and through the conditioning vector.
    """

    config_name = "config.json"  # type: ignore[assignment]
    diff_std: Tensor

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        image_size: int,
        action_dim: int,
        context: int,
        patch: int,
        channels: tuple[int, ...],
        layers_per_block: int,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        pixels = 3 * patch * patch
        self.patch = patch
        self.net = UNet2DModel(
            sample_size=image_size // patch,
            in_channels=(context + 1) * pixels + context * action_dim,
            out_channels=pixels,
            block_out_channels=channels,
            down_block_types=("DownBlock2D",) * len(channels),
            up_block_types=("UpBlock2D",) * len(channels),
            layers_per_block=layers_per_block,
            add_attention=False,
            norm_num_groups=norm_groups(channels),
            class_embed_type="identity",
            resnet_time_scale_shift="scale_shift",
        )
        width = 4 * channels[0]
        self.condition = nn.Sequential(
            nn.Linear(context * action_dim, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.register_buffer("diff_std", torch.ones(()))

    def forward(
        self,
        noisy: Float[Tensor, "batch pixels h w"],
        sigma: Float[Tensor, " batch"],
        frames: Float[Tensor, "batch context 3 height width"],
        actions: Float[Tensor, "batch context dim"],
    ) -> Float[Tensor, "batch pixels h w"]:
        """Denoised difference in patches: c_skip x + c_out F(c_in x; c_noise, frames, actions)."""
        s = sigma[:, None, None, None]
        residual = self.network(c_in(s) * noisy, c_noise(sigma), frames, actions)
        return c_skip(s) * noisy + c_out(s) * residual

    def network(
        self, scaled: Tensor, noise_level: Tensor, frames: Tensor, actions: Tensor
    ) -> Tensor:
        """The raw network F, in float32 whatever precision it ran in."""
        flat = actions.flatten(1)
        planes = flat[:, :, None, None].expand(-1, -1, *scaled.shape[-2:])
        past = pixel_unshuffle(frames.flatten(1, 2), self.patch)
        stacked = torch.cat([scaled, past, planes], 1).contiguous(memory_format=torch.channels_last)
        condition = self.condition(flat)
        out: Tensor = self.net(stacked, noise_level, class_labels=condition, return_dict=False)[0]  # type: ignore[operator]
        return out.float()

    def compile_network(self) -> None:
        """Compile F for the shapes that come; the weights and their names stay what they are.

        Without a compiler on this machine it says so in the log and goes on as before.
        """
        if not any(map(shutil.which, ("cc", "gcc", "clang"))):
            log.warning("no C compiler here: the denoiser runs without being compiled")
            return
        self.net.compile(dynamic=False)  # type: ignore[attr-defined]

    def to_difference(self, following: Tensor, last: Tensor) -> Tensor:
        """Patches of the normalised difference between two frames in [-1, 1]."""
        return pixel_unshuffle((following - last) / self.diff_std, self.patch)

    def to_frame(self, difference: Tensor, last: Tensor) -> Tensor:
        """The frame that a normalised difference leads to; the inverse of `to_difference`."""
        return last + pixel_shuffle(difference, self.patch) * self.diff_std
