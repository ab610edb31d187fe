"""A trained policy as one function of a camera frame and its own memory: what leaves the house."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from jaxtyping import Bool, Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.local_model.model import LocalConfig, LocalModel
from core.local_model.rssm import State
from core.policy.actor_critic import Actor, ActorConfig


@dataclass(frozen=True)
class StepConfig:
    """Sizes of a policy step; `config.json` beside its weights."""

    local: LocalConfig
    actor: ActorConfig

    @property
    def state_dim(self) -> int:
        """Width of the memory: the latent state, then the last action."""
        return self.local.deter + self.local.stoch + self.local.action_dim


class PolicyStep(nn.Module):
    """Frame and memory to action and memory, in float32; all chance comes with the call.

    Pixels are normalised inside. Of the local model it keeps the filter alone, without decoder and
    heads.
    """

    mean_frame: Tensor

    def __init__(self, config: StepConfig) -> None:
        super().__init__()
        self.config = replace(config, local=replace(config.local, bf16=False))
        local = LocalModel(self.config.local)
        self.register_buffer("mean_frame", local.mean_frame)
        self.encoder, self.rssm = local.encoder, local.rssm
        self.actor = Actor(config.actor)
        self._parts = (local.config.deter, local.config.stoch, config.actor.action_dim)

    @classmethod
    def of(cls, actor: Actor, local: LocalModel) -> Self:
        """The step of a policy on the local model that it was trained with."""
        step = cls(StepConfig(local.config, actor.config))
        step.actor.load_state_dict(actor.state_dict())
        parts = ("mean_frame", "encoder.", "rssm.")
        kept = {k: v for k, v in local.state_dict().items() if k.startswith(parts)}
        step.load_state_dict(kept, strict=False)
        return step.eval()

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The step of a policy's artifact: an actor with its local model in `local/`."""
        return cls.of(Actor.load(folder), LocalModel.load(folder / "local"))

    def forward(
        self,
        image: Tensor,
        state: Float[Tensor, "batch state"],
        reset: Bool[Tensor, " batch"],
        noise: Float[Tensor, "batch action"],
    ) -> tuple[Float[Tensor, "batch action"], Float[Tensor, "batch state"]]:
        """The action for `image` (batch, H, W, 3), 0..255 in uint8 or float, and the next state.

        Where `reset` is true an episode begins and the given state does not count. With zeros as
        `noise` the action is the likeliest one, with standard normal numbers it is drawn.
        """
        frames = image.movedim(-1, -3).float() / 127.5 - 1
        state = torch.where(reset[:, None], torch.zeros_like(state), state)
        deter, stoch, last = state.split(self._parts, -1)
        seen = self.rssm.observe(State(deter, stoch), last, self.encoder(frames - self.mean_frame))
        action = self.actor(seen.features).action(noise)
        return action, torch.cat([*seen, action], -1)

    def initial(self, batch: int) -> Float[Tensor, "batch state"]:
        """The state before anything was seen: zeros."""
        return torch.zeros(batch, self.config.state_dim)

    def sizes(self) -> dict[str, Any]:
        """What `config.json` must hold, so that `load` knows the sizes."""
        c = self.config
        local, actor = asdict(c.local), asdict(c.actor)
        return {
            "image_size": c.local.image_size,
            "action_dim": c.actor.action_dim,
            "state_dim": c.state_dim,
            "local": local,
            "actor": actor,
        }

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` beside the `config.json` that holds `sizes`."""
        save_file(self.state_dict(), folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a folder with `config.json` and `model.safetensors`."""
        sizes = json.loads(folder.joinpath("config.json").read_text())
        step = cls(StepConfig(LocalConfig(**sizes["local"]), ActorConfig(**sizes["actor"])))
        step.load_state_dict(load_file(folder / "model.safetensors"))
        return step.eval()
