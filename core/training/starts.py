"""Where imagination starts: real frames, by number."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.data.windows import Windows
from core.devices import upload
from core.global_model.model import GlobalModel, to_float
from core.jobs.spec import PolicySpec
from core.local_model.model import LocalModel
from core.policy.rollout import ImaginedEnvs
from core.training.feed import Waits


@dataclass
class Starts:
    """Real segments that imagined environments start from; by number, so that a resume repeats them."""

    windows: Windows
    served: int = 0
    waits: Waits = field(default_factory=Waits)

    def state_dict(self) -> dict[str, int]:
        return {"served": self.served}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.served = state_dict["served"]

    def next(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Frames (count, burn_in, 3, H, W) and the actions taken at them, on a device."""
        with self.waits.waiting():
            batch = self.windows.batch(self.served, count)
            frames, actions = (upload(batch[name], device) for name in ("frames", "actions"))
        self.served += 1
        return to_float(frames), actions


def first_environments(
    spec: PolicySpec, starts: Starts, global_model: GlobalModel, local: LocalModel
) -> ImaginedEnvs:
    """All environments at real frames, their ages spread so that they do not restart together."""
    c, count = global_model.config, spec.environments
    device = next(local.parameters()).device
    envs = ImaginedEnvs(
        frames=torch.zeros(count, c.context, 3, c.image_size, c.image_size, device=device),
        actions=torch.zeros(count, c.context, c.action_dim, device=device),
        deter=torch.zeros(count, local.rssm.deter, device=device),
        stoch=torch.zeros(count, local.rssm.stoch, device=device),
        age=torch.zeros(count, dtype=torch.long),
    )
    envs.restart(torch.arange(count), *starts.next(count, device), local, c.context)
    rounds = max(1, spec.max_age // spec.horizon)
    envs.age = (torch.arange(count) % rounds) * spec.horizon
    return envs
