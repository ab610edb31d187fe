"""The global model as a Gymnasium vector environment: many imagined episodes, one batched step."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from core.data.dataset import Dataset
from core.data.windows import Windows
from core.global_model.model import GlobalModel, to_float, to_uint8
from core.imagination.batch import episode_generator, imagine_each

Frames = NDArray[np.uint8]
Info = dict[str, Any]


class ImaginedVectorEnv(VectorEnv[Frames, NDArray[np.float32], NDArray[Any]]):
    """Imagined episodes that start from real training frames.

    Observation: the model's context, newest frame last, (context, S, S, 3) uint8. Action: (dim,)
    float32 in [-1, 1]. Reward and termination are the global model's; truncated `max_age` imagined
    steps after the last real frame. Autoreset is Gymnasium's same-step mode: an ended episode's
    last observation is in `info["final_obs"]`, the one returned begins the next episode.

    With seed s, what happens in environment i depends on (s, i) and its actions alone, not on the
    number of environments (up to rounding); a reset without a seed goes on with the same numbers.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self, model: GlobalModel, dataset: Dataset, num_envs: int, max_age: int = 32
    ) -> None:
        c = model.config
        if num_envs < 1 or max_age < 1:
            raise ValueError(f"num_envs and max_age must be positive, got {num_envs}, {max_age}")
        if dataset.meta.image_size != (c.image_size, c.image_size):
            raise ValueError(
                f"the model imagines frames of {c.image_size} x {c.image_size} pixels, the dataset "
                f"has {dataset.meta.image_size}: use the dataset that the model was trained on"
            )
        self.model, self.max_age, self.num_envs = model, max_age, num_envs
        self.windows = Windows(dataset, "train", c.context)
        self._first_rows = self.windows.starts()
        self.single_observation_space = spaces.Box(
            0, 255, (c.context, c.image_size, c.image_size, 3), np.uint8
        )
        self.single_action_space = spaces.Box(-1, 1, (c.action_dim,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.device = model.denoiser.device
        self.generators = [torch.Generator() for _ in range(num_envs)]
        self.seeded = False
        side = c.image_size
        self.frames = torch.zeros(num_envs, c.context, 3, side, side, device=self.device)
        self.actions = torch.zeros(num_envs, c.context, c.action_dim, device=self.device)
        self.age = np.zeros(num_envs, np.int64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frames, Info]:
        """Start all environments at real frames; `options={"spread": True}` makes their first
        episodes shorter by different lengths, so that they do not end together ever after."""
        super().reset(seed=seed)
        if seed is None and not self.seeded:
            seed = int(self.np_random.integers(2**31))
        if seed is not None:
            self._seed(seed)
        self._restart(np.arange(self.num_envs))
        if (options or {}).get("spread"):
            self.age = np.arange(self.num_envs) % self.max_age
        return self.observation(), {}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Frames, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """Imagine one step everywhere; actions outside [-1, 1] are clipped.

        Raises:
            ValueError: the actions have another shape, or are not finite.
        """
        self.actions[:, -1] = self._checked(actions)
        step, self.frames, self.actions = imagine_each(
            self.model, self.frames, self.actions, self.generators
        )
        self.age += 1
        rewards = step.reward.double().cpu().numpy()
        terminated = (step.terminated > 0.5).cpu().numpy()
        truncated = self.age >= self.max_age
        info = self._autoreset(terminated | truncated)
        return self.observation(), rewards, terminated, truncated, info

    def observation(self) -> Frames:
        """What step and reset return, (num_envs, context, S, S, 3)."""
        frames: Frames = to_uint8(self.frames).cpu().numpy()
        return frames

    def state_dict(self) -> dict[str, Any]:
        """Everything that the following steps depend on."""
        randomness = torch.stack([g.get_state() for g in self.generators])
        return {
            "frames": self.frames,
            "actions": self.actions,
            "age": torch.from_numpy(self.age),
            "randomness": randomness,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.frames = state_dict["frames"].to(self.device)
        self.actions = state_dict["actions"].to(self.device)
        self.age = state_dict["age"].numpy().copy()
        for generator, state in zip(self.generators, state_dict["randomness"], strict=True):
            generator.set_state(state.clone())  # torch crashes on a row of a larger tensor
        self.seeded = True

    def _seed(self, seed: int) -> None:
        self.generators = [episode_generator(seed, i) for i in range(self.num_envs)]
        self.seeded = True

    def _restart(self, which: NDArray[np.int64]) -> None:
        many = len(self._first_rows)
        drawn = [int(torch.randint(many, (), generator=self.generators[i])) for i in which]
        batch = self.windows.at(self._first_rows[drawn])
        self.frames[which] = to_float(torch.from_numpy(batch["frames"])).to(self.device)
        self.actions[which] = torch.from_numpy(batch["actions"]).to(self.device)
        self.age[which] = 0

    def _autoreset(self, ended: NDArray[np.bool_]) -> Info:
        which = np.flatnonzero(ended)
        if not len(which):
            return {}
        last = np.full(self.num_envs, None, dtype=object)
        observation = self.observation()
        for i in which:
            last[i] = observation[i]
        self._restart(which)
        return {"final_obs": last, "_final_obs": ended, "final_info": {}, "_final_info": ended}

    def _checked(self, actions: NDArray[np.float32]) -> Tensor:
        values = np.asarray(actions, np.float32)
        if values.shape != self.action_space.shape or not np.isfinite(values).all():
            raise ValueError(
                f"actions must be finite numbers of shape {self.action_space.shape}, got "
                f"{'numbers that are not finite' if values.shape == self.action_space.shape else values.shape}"
            )
        return torch.from_numpy(values.clip(-1, 1)).to(self.device)
