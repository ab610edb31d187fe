"""Robot logs from a task: what a user would upload, made by scripted play."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.envs import TASKS, make_task
from core.envs.policies import Policy

Episode = dict[str, NDArray[Any]]


def make_logs(
    task: str,
    episodes: int,
    out_zip: Path | str,
    image_size: int = 64,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a zip of one npz per episode and a `meta.json`; the same seed, the same bytes.

    Of T steps: `image` (T+1, S, S, 3) uint8, `action` (T, A) float32, `reward` (T,) float32,
    `terminated` (T,) bool, `state` (T+1, D) float32, `success` (T+1,) bool. `progress` is called
    with the episodes done and their number.

    Raises:
        ValueError: no such task, or fewer than one episode.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    env = make_task(task, image_size)
    policy = TASKS[task].play()
    meta = {"task": task, "fps": env.metadata["render_fps"], "action_kind": "delta"}
    out = Path(out_zip)
    partial = out.with_name(out.name + ".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        _write(archive, "meta.json", json.dumps(meta).encode())
        for n in range(episodes):
            rng = np.random.default_rng([seed, n])
            episode = play_episode(env, policy, rng, TASKS[task].play_start(rng))
            _write(archive, f"episode_{n:05d}.npz", npz_bytes(episode))
            if progress is not None:
                progress(n + 1, episodes)
    env.close()
    partial.replace(out)


def play_episode(
    env: Any, policy: Policy, rng: np.random.Generator, start: dict[str, Any] | None = None
) -> Episode:
    """One whole episode of a policy, as `make_logs` stores it; all chance comes from `rng`.

    `start`: options of the reset.
    """
    observation, info = env.reset(seed=int(rng.integers(2**31)), options=start)
    policy.reset(rng)
    frames, successes = [observation], [info["is_success"]]
    actions, rewards, terminations = [], [], []
    terminated = truncated = False
    while not (terminated or truncated):
        action = policy.act(observation)
        observation, reward, terminated, truncated, info = env.step(action)
        frames.append(observation)
        successes.append(info["is_success"])
        actions.append(action)
        rewards.append(reward)
        terminations.append(terminated)
    return {
        "image": np.stack([f["pixels"] for f in frames]),
        "action": np.stack(actions).astype(np.float32),
        "reward": np.array(rewards, np.float32),
        "terminated": np.array(terminations, np.bool_),
        "state": np.stack([f["state"] for f in frames]),
        "success": np.array(successes, np.bool_),
    }


def npz_bytes(arrays: Episode) -> bytes:
    """Arrays as a compressed npz, without clock times and at zlib's fastest level."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    with archive.open(name, "w") as member:  # writestr would stamp the time of day
        member.write(content)
