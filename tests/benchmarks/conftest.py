"""An artifact home with a small push_disc dataset and an untrained model of each kind."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.data.episode import Episode
from core.data.writer import DatasetWriter
from core.envs import TASKS
from core.envs.camera import make_judge
from core.global_model.model import GlobalConfig, GlobalModel
from core.local_model.model import LocalConfig, LocalModel

SIZE, EPISODES, LENGTH = 16, 10, 24
IDS = "--dataset ds_00000000 --global-model gm_00000000 --local-model lm_00000000"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with DatasetWriter(tmp_path / "datasets" / "ds_00000000" / "v1") as writer:
        for seed in range(EPISODES):
            writer.append(played(seed))
        writer.finish(name="disc", fps=10, action_kind="delta", task="push_disc")
    torch.manual_seed(0)
    config = GlobalConfig(
        image_size=SIZE,
        action_dim=2,
        context=2,
        patch=4,
        channels=(32, 32),
        layers_per_block=1,
        sigma_max=1.0,
        num_denoising_steps=1,
    )
    local = LocalConfig(SIZE, 2, 4, deter=16, stoch=4, hidden=16, units=16, embed=16)
    for name, model in (("gm_00000000", GlobalModel(config)), ("lm_00000000", LocalModel(local))):
        (tmp_path / "models" / name).mkdir(parents=True)
        model.save(tmp_path / "models" / name)
    return tmp_path


def played(seed: int) -> Episode:
    """An episode of scripted play."""
    env, policy = make_judge("push_disc", SIZE), TASKS["push_disc"].play()
    policy.reset(np.random.default_rng(seed))
    observations, actions, rewards = [env.reset(seed=seed)[0]], [], []
    for _ in range(LENGTH - 1):
        actions.append(policy.act(observations[-1]))
        observation, reward, *_ = env.step(actions[-1])
        observations.append(observation)
        rewards.append(reward)
    env.close()
    return Episode(
        np.stack([o["pixels"] for o in observations]),
        np.stack(actions),
        state=np.stack([o["state"] for o in observations]),
        reward=np.array(rewards, np.float32),
        source=f"play {seed}",
    )
