"""Stage: imagined rollouts beside the real episodes that they start from."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.artifacts import StagePaths
from core.data.dataset import Dataset, EpisodeInfo
from core.data.heat import heat
from core.data.imagined import ImaginedEpisode
from core.data.video import write_mp4
from core.envs.camera import make_judge
from core.evaluation.fidelity import dream, open_loop, psnr
from core.evaluation.imagination import dream_policy, imagine_policy
from core.global_model.model import GlobalModel, to_float, to_uint8
from core.jobs.spec import RolloutSpec
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor
from core.recorder import Recorder
from core.stages.setup import device, open_dataset, open_model, seed_everything


@dataclass(frozen=True)
class Pair:
    """A real and an imagined course of events from the same frames on."""

    kind: str
    """`replay`: the logged actions in both; `policy`: the policy acts in both."""
    episode: int | None
    start: int
    real: Tensor
    """(steps + 1, 3, H, W): the last common frame, then what really came."""
    imagined: Tensor
    reward_real: list[float] | None
    reward_imagined: list[float]
    actions: NDArray[np.float32]
    """(steps, A): what the imagined frames follow from."""
    dreamed: Tensor | None = None
    """Like `imagined`, in the local model's own dream."""
    reward_dreamed: list[float] | None = None


def run(spec: RolloutSpec, paths: StagePaths, recorder: Recorder) -> dict[str, Any]:
    """Write `rollout.json`, and the videos and plain arrays of each item."""
    seed_everything(spec.seed)
    dataset = open_dataset(spec, paths)
    model = open_model(GlobalModel, spec.global_model, paths).to(device())
    local = None
    if spec.local_model is not None:
        local = open_model(LocalModel, spec.local_model, paths).to(device())
    pairs = [
        _replay(spec, dataset, model, local, n, episode)
        for n, episode in enumerate(dataset.episodes)
        if episode.split == "validation"
    ][: spec.episodes]
    recorder.progress(1, 3, "imagined held-out episodes")
    if spec.policy is not None and spec.task is not None:
        folder = paths.artifacts.existing(paths.artifacts.model(spec.policy))
        actor = Actor.load(folder).to(device())
        kept = LocalModel.load(folder / "local").to(device())
        for n in range(spec.episodes):
            recorder.raise_if_cancelled()
            pairs.append(_policy(spec, spec.task, model, kept, actor, n))
    recorder.progress(2, 3, "imagined the policy")
    items = [_store(n, pair, dataset.meta.fps, paths) for n, pair in enumerate(pairs)]
    described = {"fps": dataset.meta.fps, "horizon": spec.horizon, "items": items}
    (paths.out / "rollout.json").write_text(json.dumps(described, indent=1))
    recorder.progress(3, 3, "done")
    replays = [item for item in items if item["kind"] == "replay"]
    names = ["psnr", "static_psnr"] + (["psnr_dream"] if local is not None else [])
    means = {n: float(np.mean([np.mean(item[n]) for item in replays])) for n in names}
    return {"items": len(items), **{f"mean_{n}": value for n, value in means.items()}}


def _replay(
    spec: RolloutSpec,
    dataset: Dataset,
    model: GlobalModel,
    local: LocalModel | None,
    n: int,
    episode: EpisodeInfo,
) -> Pair:
    context = model.config.context
    rows = slice(episode.start, episode.start + min(episode.length, context + spec.horizon))
    frames = to_float(torch.from_numpy(np.array(dataset.frames[rows])).to(device()))[None]
    actions = torch.from_numpy(np.array(dataset.actions[rows])).to(device())[None]
    generator = torch.Generator().manual_seed(spec.seed + n)
    imagined, rewards = open_loop(model, frames, actions, generator)
    logged = None
    if dataset.reward is not None:
        logged = np.array(dataset.reward[rows], dtype=float)[context - 1 : -1].tolist()
    common = frames[0, context - 1 : context]
    dreamed = None if local is None else dream(local, frames, actions, context)
    return Pair(
        "replay",
        n,
        context - 1,
        frames[0, context - 1 :],
        torch.cat([common, imagined[0]]),
        logged,
        rewards[0].tolist(),
        _numpy(actions[0, context - 1 : -1]),
        *_after(common, dreamed),
    )


def _after(
    common: Tensor, dreamed: tuple[Tensor, Tensor] | None
) -> tuple[Tensor | None, list[float] | None]:
    """A dream's frames behind the common one, and its rewards."""
    if dreamed is None:
        return None, None
    return torch.cat([common, dreamed[0][0]]), dreamed[1][0].tolist()


def _policy(
    spec: RolloutSpec, task: str, model: GlobalModel, local: LocalModel, actor: Actor, n: int
) -> Pair:
    """The policy in the true simulator, and in imagination from the same first frame."""
    env = make_judge(task, local.config.image_size)
    observation, _ = env.reset(seed=spec.seed + n)
    context = model.config.context
    first = to_float(torch.from_numpy(observation["pixels"]).to(device()))
    seen, rewards = [first], []
    state = local.rssm.initial(1, device())
    action = torch.zeros(1, local.config.action_dim, device=device())
    with torch.no_grad():
        for _ in range(spec.horizon):
            state = local.rssm.observe(state, action, local.encode(seen[-1][None]))
            action = actor(state.features).mode
            observation, reward, terminated, truncated, _ = env.step(_numpy(action[0]))
            seen.append(to_float(torch.from_numpy(observation["pixels"]).to(device())))
            rewards.append(float(reward))
            if terminated or truncated:
                break
    env.close()
    still = first.expand(1, context, -1, -1, -1)
    idle = torch.zeros(1, context, local.config.action_dim, device=device())
    generator = torch.Generator().manual_seed(spec.seed + n)
    imagined = imagine_policy(actor, model, local, still, idle, len(rewards), generator)
    dreamed = dream_policy(actor, local, still, idle, len(rewards))
    return Pair(
        "policy",
        None,
        0,
        torch.stack(seen),
        torch.cat([first[None], imagined.frames[0]]),
        rewards,
        imagined.rewards[0].tolist(),
        _numpy(imagined.actions[0]),
        *_after(first[None], dreamed),
    )


def _store(n: int, pair: Pair, fps: float, paths: StagePaths) -> dict[str, Any]:
    real, imagined = _pixels(pair.real), _pixels(pair.imagined)
    gap = np.full((len(real), real.shape[1], 2, 3), 255, np.uint8)
    videos = {
        "video": np.concatenate([real, gap, imagined], 2),
        "real": real,
        "imagined": imagined,
        "difference": heat(real, imagined),
    }
    figures: dict[str, Any] = {}
    if pair.dreamed is not None:
        videos["dream"] = _pixels(pair.dreamed)
        figures["psnr_dream"] = psnr(pair.dreamed[1:], pair.real[1:]).tolist()
        figures["reward_dream"] = pair.reward_dreamed
    names = {which: f"{n}.mp4" if which == "video" else f"{n}_{which}.mp4" for which in videos}
    for which, frames in videos.items():
        write_mp4(paths.out / names[which], frames, fps)
    ImaginedEpisode(real, imagined, pair.actions, np.array(pair.reward_imagined, np.float32)).save(
        paths.out / f"{n}.npz"
    )
    return {
        "n": n,
        "kind": pair.kind,
        "episode": pair.episode,
        "start": pair.start,
        **names,
        "psnr": psnr(pair.imagined[1:], pair.real[1:]).tolist(),
        "static_psnr": psnr(pair.real[:1], pair.real[1:]).tolist(),
        "reward_real": pair.reward_real,
        "reward_imagined": pair.reward_imagined,
        **figures,
    }


def _pixels(frames: Tensor) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = to_uint8(frames).cpu().numpy()
    return np.ascontiguousarray(values)


def _numpy(action: Tensor) -> NDArray[np.float32]:
    return action.cpu().numpy().astype(np.float32)
