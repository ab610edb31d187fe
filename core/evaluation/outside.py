"""An exported policy in any Gymnasium environment: pictures in, actions out, returns counted."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from core.data.pixels import Layout
from core.data.shaping import Shaping
from core.envs import TASKS, make_task
from core.envs.camera import CAMERA_SIZE
from core.policy.runners import Runner

Env = gym.Env[Any, Any]
IMAGE_KEYS = ("pixels", "image", "rgb", "observation.image")


@dataclass(frozen=True)
class Episode:
    """One episode; `success` is None if the environment does not say it."""

    reward: float
    """Summed over the episode."""
    steps: int
    success: bool | None
    """At any step."""
    frames: list[NDArray[np.uint8]]
    """What the environment showed; empty unless they were asked for."""


def make_env(name: str, image_size: int) -> Env:
    """A built-in task, `module:Class` of a file or package, or an id that Gymnasium knows.

    Raises:
        ValueError: there is no such environment, or it cannot be made.
    """
    if name in TASKS:
        return make_task(name, max(CAMERA_SIZE, image_size))
    try:
        if ":" in name and not name.rpartition("-v")[2].isdigit():
            return _of_class(name)
        env: Env = gym.make(name, render_mode="rgb_array")
    except (gym.error.Error, ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"cannot make the environment {name!r}: {error}") from error
    return env


def run_policy(
    runner: Runner,
    env: Env,
    episodes: int,
    seed: int,
    *,
    max_steps: int | None = None,
    image_key: str | None = None,
    scale_actions: bool = False,
    sample: bool = False,
    keep_frames: int = 0,
) -> Iterator[Episode]:
    """Episodes one after the other, from the starts that an evaluation with this seed has.

    `scale_actions` stretches [-1, 1] to the bounds of the action space; else actions are clipped
    to them. To `sample` draws actions; else they are the likeliest ones. Frames of the first
    `keep_frames` episodes are kept.

    Raises:
        ValueError: pictures or actions of environment and policy do not fit.
    """
    act = _action_map(env, runner.config["action_dim"], scale_actions)
    see = _camera(env, image_key)
    starts = np.random.default_rng(seed).integers(2**31, size=episodes)
    for n, start in enumerate(starts):
        observation, _ = env.reset(seed=int(start))
        memory, total, steps, success = runner.initial(1), 0.0, 0, None
        rng = np.random.default_rng(int(start)) if sample else None
        picture = see(observation)
        frames = [picture]
        while max_steps is None or steps < max_steps:
            image = shaped(picture, runner.config)
            begins = np.array([steps == 0])
            action, memory = runner.step(image[None], memory, begins, runner.noise(1, rng))
            observation, reward, terminated, truncated, info = env.step(act(action[0]))
            total, steps, picture = total + float(reward), steps + 1, see(observation)
            told = info.get("is_success", info.get("success"))
            success = success if told is None else bool(told) or bool(success)
            if n < keep_frames:
                frames.append(picture)
            if terminated or truncated:
                break
        yield Episode(total, steps, success, frames if n < keep_frames else [])


def shaped(picture: NDArray[np.uint8], config: Mapping[str, Any]) -> NDArray[np.uint8]:
    """A camera frame (H, W, 3) as ingest stored those that the policy was trained on."""
    told = config.get("pictures", {})
    crop = tuple(told["crop"]) if told.get("crop") else None
    shaping = Shaping(crop, told.get("flip", "none"), "rgb", told.get("fit", "squeeze"))
    side = config["image_size"]
    frames = picture[None]
    return np.ascontiguousarray(shaping.apply(frames, Layout.of(frames.shape), side, side)[0])


def _of_class(name: str) -> Env:
    module, _, attribute = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # a file beside where the command was typed
    made = getattr(import_module(module), attribute)
    try:
        env = made(render_mode="rgb_array")
    except TypeError:
        env = made()
    if not isinstance(env, gym.Env):
        raise ValueError(f"{name} made a {type(env).__name__}, which is no gymnasium.Env")
    return env


def _camera(env: Env, key: str | None) -> Callable[[Any], NDArray[np.uint8]]:
    """What finds the picture: the observation, one of its parts, or what `render` draws."""
    space = env.observation_space
    parts = space.spaces if isinstance(space, gym.spaces.Dict) else {}
    found = key or next((k for k in IMAGE_KEYS if k in parts), None)
    if found is not None:
        if found not in parts:
            raise ValueError(f"the observation has no part {found!r}; it has {', '.join(parts)}")
        return lambda observation: _picture(observation[found], f"observation {found!r}")
    if isinstance(space, gym.spaces.Box) and len(space.shape) == 3:
        return lambda observation: _picture(observation, "observation")
    return lambda _: _picture(_drawn(env), "what render() returned")


def _drawn(env: Env) -> Any:
    try:
        return env.render()
    except NotImplementedError:
        return None


def _picture(value: Any, what: str) -> NDArray[np.uint8]:
    picture = np.asarray(value)
    if picture.ndim == 3 and picture.shape[0] == 3 != picture.shape[2]:
        picture = picture.transpose(1, 2, 0)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(
            f"{what} is {picture.dtype} of shape {picture.shape}, and a policy sees uint8 pictures "
            "(H, W, 3): make the environment with render_mode 'rgb_array', or name the part of the "
            "observation that is one with --image-key"
        )
    return picture


def _action_map(env: Env, dim: int, scale: bool) -> Callable[[NDArray[np.float32]], Any]:
    space = env.action_space
    if not isinstance(space, gym.spaces.Box) or space.shape != (dim,):
        raise ValueError(f"the policy's actions are {dim} numbers, the environment wants {space}")
    low, high = space.low, space.high
    if scale:
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ValueError("actions cannot be scaled to bounds that are not finite")
        return lambda action: (low + (action + 1) / 2 * (high - low)).astype(space.dtype)
    return lambda action: np.clip(action, low, high).astype(space.dtype)
