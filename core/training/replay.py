"""Imagined segments that the local model is kept fresh on."""

from typing import Any

import torch

from core.global_model.model import to_float, to_uint8
from core.local_model.losses import Segments
from core.policy.rollout import ImaginedRollout


class Replay:
    """Ring of the newest imagined segments, frames as bytes, where they are used; a `Stateful`."""

    def __init__(self, capacity: int, device: torch.device) -> None:
        self.capacity, self.device = capacity, device
        self.added = 0
        self.fields: dict[str, torch.Tensor] = {}

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, rollout: ImaginedRollout, skip: int) -> None:
        """Store a rollout, without its first `skip` context frames, whose rewards are not known."""
        new = {
            "frames": to_uint8(rollout.frames[:, skip:]),
            "actions": rollout.past_actions[:, skip:],
            "rewards": rollout.past_rewards[:, skip:],
        }
        if not self.fields:
            self.fields = {k: v.new_zeros((self.capacity, *v.shape[1:])) for k, v in new.items()}
        after = self.added + len(new["frames"])
        places = torch.arange(self.added, after, device=self.device) % self.capacity
        for name, values in new.items():
            self.fields[name][places] = values
        self.added = after

    def sample(self, count: int, generator: torch.Generator) -> Segments:
        """Segments drawn uniformly, with replacement."""
        which = torch.randint(len(self), (count,), generator=generator, device=generator.device)
        picked = {name: values[which] for name, values in self.fields.items()}
        return Segments(to_float(picked["frames"]), picked["actions"], picked["rewards"])

    def state_dict(self) -> dict[str, Any]:
        return {"added": self.added, "fields": self.fields}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.added = state_dict["added"]
        self.fields = {k: v.to(self.device) for k, v in state_dict["fields"].items()}
