"""The local world model: light enough that gradients through it are cheap."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.devices import bf16
from core.local_model.rssm import RSSM, State
from core.nets import PatchEncoder, mlp


@dataclass(frozen=True)
class LocalConfig:
    """Sizes of a local model; `config.json` beside its weights."""

    image_size: int
    action_dim: int
    state_dim: int
    """Width of the logged robot state that a head predicts; 0 when the logs have none."""
    deter: int = 256
    stoch: int = 32
    hidden: int = 256
    units: int = 512
    embed: int = 256
    bf16: bool = True


class LocalModel(nn.Module):
    """RSSM with dense encoder and decoder, reward head and state head.

    Dense layers, because on small images they are cheaper than convolutions and keep positions.
    """

    mean_frame: Tensor
    reward_mean: Tensor
    reward_std: Tensor
    state_mean: Tensor
    state_std: Tensor

    def __init__(self, config: LocalConfig) -> None:
        super().__init__()
        self.config = c = config
        pixels = 3 * c.image_size**2
        features = c.deter + c.stoch
        self.rssm = RSSM(c.action_dim, c.embed, c.deter, c.stoch, c.hidden)
        self.encoder = PatchEncoder(c.image_size, c.units, c.embed)
        self.decoder = mlp((features, c.units, c.units), pixels)
        self.reward_head = mlp((features, c.hidden), 1)
        self.state_head = mlp((features, c.hidden), max(1, c.state_dim))
        self.register_buffer("mean_frame", torch.zeros(3, c.image_size, c.image_size))
        self.register_buffer("reward_mean", torch.zeros(()))
        self.register_buffer("reward_std", torch.ones(()))
        self.register_buffer("state_mean", torch.zeros(max(1, c.state_dim)))
        self.register_buffer("state_std", torch.ones(max(1, c.state_dim)))

    def encode(self, frames: Float[Tensor, "*batch 3 height width"]) -> Tensor:
        """Embedding of frames in [-1, 1], in the precision of training."""
        with bf16(frames.device, self.config.bf16):
            return self.embed(frames).float()

    def embed(self, frames: Float[Tensor, "*batch 3 height width"]) -> Tensor:
        """The same in whatever precision is set: float32 where a policy acts, as when exported."""
        embed: Tensor = self.encoder(frames - self.mean_frame)
        return embed

    def decode(self, state: State) -> Float[Tensor, "*batch 3 height width"]:
        """Frames in about [-1, 1] that a latent state stands for."""
        with bf16(state.deter.device, self.config.bf16):
            flat: Tensor = self.decoder(state.features)
        return flat.float().reshape(*flat.shape[:-1], *self.mean_frame.shape) + self.mean_frame

    def normalised_reward(self, state: State) -> Float[Tensor, "*batch"]:
        """Reward earned on the way into this state, in units of the logs' deviation."""
        reward: Tensor = self.reward_head(state.features)
        return reward.squeeze(-1).float()

    def reward(self, state: State) -> Float[Tensor, "*batch"]:
        """Reward earned on the way into this state, in the units of the logs."""
        return self.normalised_reward(state) * self.reward_std + self.reward_mean

    def heads(self, state: State) -> Float[Tensor, "*batch heads"]:
        """Normalised reward and normalised robot state, side by side."""
        robot: Tensor = self.state_head(state.features)
        return torch.cat([self.normalised_reward(state).unsqueeze(-1), robot.float()], -1)

    def burn_in(
        self,
        frames: Float[Tensor, "batch length 3 height width"],
        actions: Float[Tensor, "batch length dim"],
    ) -> State:
        """Filter real frames; the state at the last one. `actions[:, t]` is taken at frame t."""
        embeds = self.encode(frames)
        state = self.rssm.initial(len(frames), frames.device)
        before = torch.zeros_like(actions[:, 0])
        for t in range(frames.shape[1]):
            state = self.rssm.observe(state, before, embeds[:, t])
            before = actions[:, t]
        return state

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`."""
        folder.joinpath("config.json").write_text(json.dumps(asdict(self.config), indent=2))
        state = {k: v.contiguous() for k, v in self.state_dict().items()}
        save_file(state, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        model = cls(LocalConfig(**json.loads(folder.joinpath("config.json").read_text())))
        model.load_state_dict(load_file(folder / "model.safetensors"))
        return model.eval()
