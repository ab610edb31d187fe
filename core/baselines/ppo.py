"""Proximal policy optimisation in imagination: stable-baselines3's, unmodified."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import load_model, save_model
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticCnnPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.utils import set_random_seed
from torch import Tensor, nn

from core.baselines.sb3_env import StackedFrames, image_space, newest, stacked
from core.data.dataset import Dataset
from core.evaluation.success import Observations
from core.global_model.model import GlobalModel
from core.imagination.vector_env import Frames, ImaginedVectorEnv
from core.jobs.spec import Seed, Spec
from core.recorder import Recorder
from core.training.checkpoint import Stateful
from core.training.loop import resumable_steps


class PPOSpec(Spec):
    """Settings of PPO in imagination; its frames are `steps * environments * horizon`."""

    steps: int = Field(1000, ge=1, description="Rollouts, each with one PPO update")
    environments: int = Field(96, ge=2, description="Imagined environments side by side")
    horizon: int = Field(16, ge=1, description="Imagined steps per rollout and environment")
    max_age: int = Field(32, ge=1, description="Imagined steps before a restart from real frames")
    gamma: float = Field(0.97, gt=0, lt=1, description="Discount")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="Lambda of the advantages")
    epochs: int = Field(4, ge=1, description="Passes over a rollout")
    batch_size: int = Field(256, ge=2, description="Frames per gradient step")
    learning_rate: float = Field(3e-4, gt=0, description="Learning rate at the start; falls to 0")
    clip_range: float = Field(0.2, gt=0, description="Largest change of the action's likelihood")
    entropy_weight: float = Field(1e-3, ge=0, description="Weight of the entropy")
    log_std: float = Field(-0.5, description="Log of the first deviation of actions")
    save_every: int = Field(50, ge=1, description="Rollouts between checkpoints")
    log_every: int = Field(1, ge=1, description="Rollouts between metrics")
    seed: Seed = 0


class SmallCNN(BaseFeaturesExtractor):
    """Two convolutions and a dense layer: Nature's network does not fit on 32 pixels.

    It sees frames in units of the dataset's deviation from its mean colour: on a bright background
    that is all but constant, it learns ten times faster.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        observation_space: spaces.Box,
        features_dim: int = 256,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
    ) -> None:
        super().__init__(observation_space, features_dim)
        channels, height, width = observation_space.shape
        for name, values in (("mean", mean), ("std", std)):
            colours = torch.tensor(values).repeat(channels // 3)
            self.register_buffer(name, colours[:, None, None])
        self.net = nn.Sequential(
            nn.Conv2d(channels, 32, 8, stride=4, padding=2),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * (height // 4) * (width // 4), features_dim),
            nn.ReLU(),
        )

    def forward(self, observations: Tensor) -> Tensor:
        features: Tensor = self.net((observations - self.mean) / self.std)
        return features


@dataclass(frozen=True)
class PPOConfig:
    """What a policy needs to act; `config.json` beside its weights."""

    image_size: int
    context: int
    action_dim: int


class PPOPolicy:
    """A PPO policy on the last `context` frames; a `BatchPolicy` that acts without noise."""

    def __init__(self, policy: ActorCriticCnnPolicy, config: PPOConfig) -> None:
        self.policy, self.config = policy, config
        self.history: list[Frames] = []

    def reset(self, count: int, seed: int) -> None:
        """Forget what was seen."""
        self.history = []

    def act(self, observations: Observations) -> NDArray[np.float32]:
        """Mode of the policy, clipped to [-1, 1]; (count, dim)."""
        self.history.append(np.stack([o["pixels"] for o in observations]))
        self.history = self.history[-self.config.context :]
        seen = stacked(newest(self.history, self.config.context))
        actions, _ = self.policy.predict(seen, deterministic=True)
        return np.asarray(actions, np.float32)

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`."""
        folder.joinpath("config.json").write_text(json.dumps(asdict(self.config), indent=2))
        # stable-baselines3 has its feature extractor under three names
        save_model(self.policy, str(folder / "model.safetensors"))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        config = PPOConfig(**json.loads(folder.joinpath("config.json").read_text()))
        policy = ActorCriticCnnPolicy(
            image_space(config.context, config.image_size),
            spaces.Box(-1, 1, (config.action_dim,), np.float32),
            lambda _: 0.0,
            features_extractor_class=SmallCNN,
        )
        load_model(policy, folder / "model.safetensors")
        return cls(policy, config)


class PPOTrainer:
    """stable-baselines3's PPO in imagined environments, as parts that a checkpoint holds."""

    def __init__(self, spec: PPOSpec, model: GlobalModel, dataset: Dataset) -> None:
        self.spec, self.rollouts_done, self.mean_reward = spec, 0, 0.0
        self.envs = ImaginedVectorEnv(model, dataset, spec.environments, spec.max_age)
        self.vec_env = StackedFrames(self.envs, reward_scale(dataset, spec.gamma))
        self.ppo = PPO(
            "CnnPolicy",
            self.vec_env,
            learning_rate=lambda _: self._left() * spec.learning_rate,
            n_steps=spec.horizon,
            batch_size=min(spec.batch_size, spec.environments * spec.horizon),
            n_epochs=spec.epochs,
            gamma=spec.gamma,
            gae_lambda=spec.gae_lambda,
            clip_range=spec.clip_range,
            ent_coef=spec.entropy_weight,
            policy_kwargs={
                "features_extractor_class": SmallCNN,
                "features_extractor_kwargs": {
                    "mean": [v / 255 for v in dataset.meta.frame_mean],
                    "std": [max(v, 1.0) / 255 for v in dataset.meta.frame_std],
                },
                "log_std_init": spec.log_std,
            },
            seed=spec.seed,
            device=model.denoiser.device,
        )
        self.ppo.set_logger(Logger(folder=None, output_formats=[]))

    @property
    def policy(self) -> PPOPolicy:
        """The policy as it is now."""
        c = self.envs.model.config
        assert isinstance(self.ppo.policy, ActorCriticCnnPolicy)
        return PPOPolicy(self.ppo.policy, PPOConfig(c.image_size, c.context, c.action_dim))

    @property
    def frames(self) -> int:
        """Imagined so far."""
        return self.rollouts_done * self.spec.environments * self.spec.horizon

    def update(self, step: int) -> None:
        """One rollout and one PPO update; random numbers depend on (seed, step) only."""
        mixed = np.random.SeedSequence((self.spec.seed, step)).generate_state(1)
        set_random_seed(int(mixed[0]))
        self.rollouts_done = step
        per_rollout = self.spec.environments * self.spec.horizon
        self.ppo.learn(per_rollout, reset_num_timesteps=False, log_interval=None)  # type: ignore[arg-type]
        self.mean_reward = self.vec_env.take_mean_reward()
        self.rollouts_done = step + 1

    def state_dict(self) -> dict[str, Any]:
        """Policy, optimizer and environments."""
        return {
            "policy": self.ppo.policy.state_dict(),
            "optimizer": self.ppo.policy.optimizer.state_dict(),
            "envs": self.envs.state_dict(),
            "rollouts_done": self.rollouts_done,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.ppo.policy.load_state_dict(state_dict["policy"])
        self.ppo.policy.optimizer.load_state_dict(state_dict["optimizer"])
        self.envs.load_state_dict(state_dict["envs"])
        self.rollouts_done = state_dict["rollouts_done"]
        self.ppo.num_timesteps = self.frames
        # Without these, `learn` would begin with a reset.
        self.ppo._last_obs = self.vec_env.observation()
        self.ppo._last_episode_starts = np.zeros(self.spec.environments, bool)

    def _left(self) -> float:
        return 1 - self.rollouts_done / self.spec.steps


def train_ppo(trainer: PPOTrainer, recorder: Recorder, folder: Path) -> PPOPolicy:
    """Each step: a rollout in the global model and an update of stable-baselines3's PPO."""
    spec = trainer.spec
    parts: dict[str, Stateful] = {"trainer": trainer}
    for step in resumable_steps(spec.steps, parts, folder, spec.save_every, recorder):
        trainer.update(step)
        if (step + 1) % spec.log_every == 0:
            told = trainer.ppo.logger.name_to_value
            recorder.scalars(
                step + 1,
                {
                    "policy/imagined_reward": trainer.mean_reward,
                    "policy/imagined_frames": trainer.frames,
                    "policy/action_std": float(told["train/std"]),
                    "policy/kl": float(told["train/approx_kl"]),
                    "policy/value_explained": float(told["train/explained_variance"]),
                },
            )
            recorder.progress(step + 1, spec.steps, "policy by PPO")
    return trainer.policy


def reward_scale(dataset: Dataset, gamma: float) -> float:
    """Brings discounted returns to about one: (1 - gamma) / deviation of the logged rewards.

    Raises:
        ValueError: the dataset has no rewards; label it first (`core.training.labels`).
    """
    if dataset.reward is None:
        raise ValueError("the dataset has no rewards: label it with the global reward model first")
    return (1 - gamma) / max(float(dataset.reward.std()), 1e-6)
