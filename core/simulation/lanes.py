"""One session's place in a world: in the global model, in the true simulator, in a policy."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.devices import casts_kept
from core.envs.camera import make_judge
from core.global_model.model import to_float, to_uint8
from core.imagination.batch import episode_generator, imagine_each
from core.jobs.simulation import Reset
from core.local_model.rssm import State
from core.simulation.errors import Refused
from core.simulation.pictures import Frame
from core.simulation.shelf import LoadedPolicy, LoadedWorld

Action = NDArray[np.float32]


class Outcome(NamedTuple):
    """What one step led to."""

    frame: Frame
    reward: float
    terminated: bool


@dataclass(eq=False)
class ImaginedLane:
    """An episode in the global model."""

    world_id: str
    frames: Tensor
    """(context, 3, S, S) in [-1, 1], newest last."""
    actions: Tensor
    """(context, A)."""
    generator: torch.Generator
    told: dict[str, Any] = field(default_factory=dict)
    """Where it started."""

    @property
    def frame(self) -> Frame:
        shown: Frame = to_uint8(self.frames[-1]).cpu().numpy()
        return shown

    def close(self) -> None:
        """Nothing to give back."""


@dataclass(eq=False)
class TrueLane:
    """An episode in the task's true simulator."""

    env: gym.Env[Any, Any]
    frame: Frame
    told: dict[str, Any] = field(default_factory=dict)

    def step(self, action: Action) -> Outcome:
        observation, reward, terminated, _, info = self.env.step(action)
        self.frame = observation["pixels"]
        self.told = {"is_success": bool(info["is_success"])}
        return Outcome(self.frame, float(reward), bool(terminated))

    def close(self) -> None:
        self.env.close()


Lane = ImaginedLane | TrueLane


def imagined_lane(world: LoadedWorld, asked: Reset, seed: int) -> ImaginedLane:
    """Start in the global model. With a seed alone, as environment 0 of `ImaginedVectorEnv` does."""
    generator = episode_generator(seed, 0)
    device, c = world.model.denoiser.device, world.model.config
    if asked.start == "simulator":
        lane = true_lane(world, seed)
        lane.close()
        first = to_float(torch.from_numpy(lane.frame)).to(device)
        frames = first.expand(c.context, -1, -1, -1)
        idle = torch.zeros(c.context, c.action_dim, device=device)
        return ImaginedLane(world.id, frames, idle, generator, {"start": "simulator"})
    row, told = _first_row(world, asked, generator)
    batch = world.windows.at(np.array([row]))
    frames = to_float(torch.from_numpy(batch["frames"][0])).to(device)
    actions = torch.from_numpy(batch["actions"][0]).to(device)
    return ImaginedLane(world.id, frames, actions, generator, told)


def _first_row(
    world: LoadedWorld, asked: Reset, generator: torch.Generator
) -> tuple[int, dict[str, Any]]:
    """First row of the context, and the frame that it ends with."""
    context, episodes = world.model.config.context, world.dataset.episodes
    if asked.episode is not None:
        if asked.episode >= len(episodes):
            told = f"{world.dataset_id} has {len(episodes)} episodes, counted from 0"
            raise Refused(422, "No such episode", told)
        info = episodes[asked.episode]
        # The model needs frames before the one that is shown: the earliest has just enough.
        frame = context - 1 if asked.frame is None else asked.frame
        if not context - 1 <= frame < info.length:
            told = f"the episode can be entered at frames {context - 1} to {info.length - 1}"
            raise Refused(422, "No such frame", told)
        row = info.start + frame - context + 1
        return row, {"episode": asked.episode, "frame": frame}
    many = len(world.starts)
    number = asked.window
    if number is None:
        number = int(torch.randint(many, (), generator=generator))
    elif number >= many:
        told = f"{world.dataset_id} has {many} windows of training frames, counted from 0"
        raise Refused(422, "No such window", told)
    row = int(world.starts[number])
    n, info = next((n, e) for n, e in enumerate(episodes) if e.start <= row < e.start + e.length)
    return row, {"episode": n, "frame": row - info.start + context - 1, "window": number}


def true_lane(world: LoadedWorld, seed: int) -> TrueLane:
    """Start in the task's true simulator, with the frames that the model knows."""
    if world.task is None:
        told = f"{world.dataset_id} does not name a task that this service can simulate"
        raise Refused(422, "There is no true simulator", told)
    env = make_judge(world.task, world.model.config.image_size)
    observation, info = env.reset(seed=seed)
    return TrueLane(env, observation["pixels"], {"is_success": bool(info["is_success"])})


@torch.no_grad()
def imagine(
    world: LoadedWorld, lanes: Sequence[ImaginedLane], actions: Sequence[Action]
) -> list[Outcome]:
    """One step of many episodes in one batch on the device."""
    device = world.model.denoiser.device
    taken = torch.stack([lane.actions for lane in lanes])
    taken[:, -1] = torch.from_numpy(np.stack(actions)).to(device)
    frames = torch.stack([lane.frames for lane in lanes])
    with casts_kept(device, world.model.config.bf16):
        done = imagine_each(world.model, frames, taken, [lane.generator for lane in lanes])
    for i, lane in enumerate(lanes):
        lane.frames, lane.actions = done.frames[i], done.actions[i]
    shown = to_uint8(done.step.frame).cpu().numpy()
    rewards = done.step.reward.float().cpu().tolist()
    ends = (done.step.terminated > 0.5).cpu().tolist()
    return [Outcome(*values) for values in zip(shown, rewards, ends, strict=True)]


@dataclass(eq=False)
class PolicyLane:
    """What a policy remembers of one or several episodes, a row each."""

    policy_id: str
    state: State
    last: Tensor
    """(rows, A): taken at the observation before."""


@torch.no_grad()
def policy_lane(policy: LoadedPolicy, lane: Lane) -> PolicyLane:
    """Filter the frames that an episode starts with."""
    device = policy.local.mean_frame.device
    if isinstance(lane, ImaginedLane):
        frames, actions = lane.frames[None].to(device), lane.actions[None].to(device)
    else:
        frames = to_float(torch.from_numpy(lane.frame))[None, None].to(device)
        actions = torch.zeros(1, 1, policy.actor.config.action_dim, device=device)
    return PolicyLane(policy.id, policy.local.burn_in(frames, actions), actions[:, -1])


@torch.no_grad()
def blank_policy_lane(policy: LoadedPolicy, rows: int) -> PolicyLane:
    """Before any observation."""
    device = policy.local.mean_frame.device
    last = torch.zeros(rows, policy.actor.config.action_dim, device=device)
    return PolicyLane(policy.id, policy.local.rssm.initial(rows, device), last)


@torch.no_grad()
def watch(
    policy: LoadedPolicy, lanes: Sequence[PolicyLane], actions: Tensor, frames: Tensor
) -> None:
    """Tell the policy what was done and seen; rows of all lanes, one after the other."""
    state = State(
        torch.cat([lane.state.deter for lane in lanes]),
        torch.cat([lane.state.stoch for lane in lanes]),
    )
    embedded = policy.local.encode(frames)
    state = policy.local.rssm.observe(state, actions, embedded)
    at = 0
    for lane in lanes:
        rows = slice(at, at + len(lane.last))
        lane.state = State(state.deter[rows], state.stoch[rows])
        lane.last = actions[rows]
        at += len(lane.last)


@torch.no_grad()
def decide(
    policy: LoadedPolicy, lanes: Sequence[PolicyLane], noise: Tensor | None = None
) -> Tensor:
    """The policy's actions, (rows of all lanes, A): the likeliest ones, or drawn by `noise`."""
    features = torch.cat([lane.state.features for lane in lanes])
    likely = policy.actor(features)
    action: Tensor = likely.mode if noise is None else likely.action(noise)
    return action
