"""Loops: the denoiser and the reward model of the global model."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.data.dataset import Dataset
from core.data.windows import Windows
from core.global_model.denoiser import Denoiser
from core.global_model.model import GlobalModel, to_float
from core.global_model.preconditioning import c_in, c_noise, c_out, c_skip
from core.global_model.sampler import standard_noise
from core.global_model.schedule import training_sigmas
from core.jobs.spec import GlobalModelSpec
from core.recorder import Recorder
from core.training.checkpoint import GeneratorState, Stateful
from core.training.descent import descend
from core.training.loop import resumable_steps, warm_up_then_cosine


def train_denoiser(
    spec: GlobalModelSpec, model: GlobalModel, dataset: Dataset, recorder: Recorder, folder: Path
) -> None:
    """Denoise the difference between consecutive frames; leaves the averaged weights in `model`."""
    denoiser, device = model.denoiser, model.denoiser.device
    windows = Windows(dataset, "train", spec.context + 1, spec.seed)
    denoiser.diff_std.fill_(difference_std(windows))
    generator = torch.Generator().manual_seed(spec.seed)
    average = AveragedModel(denoiser, multi_avg_fn=get_ema_multi_avg_fn(spec.ema_decay))
    optimizer = AdamW(denoiser.parameters(), lr=spec.learning_rate, weight_decay=1e-2)
    schedule = LambdaLR(optimizer, warm_up_then_cosine(spec.steps))
    parts: dict[str, Stateful] = {
        "denoiser": denoiser,
        "average": average,
        "optimizer": optimizer,
        "schedule": schedule,
        "generator": GeneratorState(generator),
    }
    for step in resumable_steps(spec.steps, parts, folder, spec.save_every, recorder):
        batch = windows.batch(step, spec.batch_size)
        frames = to_float(torch.from_numpy(batch["frames"]).to(device))
        actions = torch.from_numpy(batch["actions"]).to(device)[:, :-1]
        with torch.autocast(device.type, torch.bfloat16, enabled=model.config.bf16):
            loss = denoising_loss(denoiser, frames, actions, spec, generator)
        norm = descend(loss, optimizer, max_grad_norm=1.0)
        schedule.step()
        average.update_parameters(denoiser)
        if (step + 1) % spec.log_every == 0:
            recorder.scalars(step + 1, {"global/loss": loss.item(), "global/grad_norm": norm})
            recorder.progress(step + 1, spec.steps, "denoiser")
    denoiser.load_state_dict(average.module.state_dict())


def denoising_loss(
    denoiser: Denoiser,
    frames: Tensor,
    actions: Tensor,
    spec: GlobalModelSpec,
    generator: torch.Generator,
) -> Tensor:
    """EDM loss on the network's own scale, which has unit weight at every sigma (EDM, eq. 8).

    `frames` (batch, context + 1, 3, H, W): the last is to be predicted from those before, which
    get a little noise of random strength, because imagined frames are not perfect either.
    """
    past, following = frames[:, :-1], frames[:, -1]
    strength = spec.context_noise * torch.rand(len(past), 1, 1, 1, 1, generator=generator)
    past = past + (strength * torch.randn(past.shape, generator=generator)).to(past.device)
    clean = denoiser.to_difference(following, past[:, -1])
    sigma = training_sigmas(len(clean), spec.sigma_mean, spec.sigma_std, generator)
    sigma = sigma.to(clean.device)
    noise = standard_noise(tuple(clean.shape), generator, clean.device)
    s = sigma[:, None, None, None]
    noisy = clean + s * noise
    target = (clean - c_skip(s) * noisy) / c_out(s)
    predicted = denoiser.network(c_in(s) * noisy, c_noise(sigma), past, actions)
    return ((predicted - target) ** 2).mean()


def train_reward(
    spec: GlobalModelSpec, model: GlobalModel, dataset: Dataset, recorder: Recorder, folder: Path
) -> None:
    """Regress logged rewards, and termination where it is logged, from the frame arrived at."""
    reward, device = model.reward, model.denoiser.device
    if dataset.reward is None:
        raise ValueError("the dataset has no rewards: log them, or choose another reward kind")
    windows = Windows(dataset, "train", 2, spec.seed + 1)
    sample = windows.batch(0, 4096)["reward"][:, 0]
    reward.mean.fill_(float(sample.mean()))
    reward.std.fill_(float(max(sample.std(), 1e-6)))
    optimizer = AdamW(reward.parameters(), lr=1e-3, weight_decay=1e-3)
    schedule = LambdaLR(optimizer, warm_up_then_cosine(spec.reward_steps))
    parts: dict[str, Stateful] = {"reward": reward, "optimizer": optimizer, "schedule": schedule}
    for step in resumable_steps(spec.reward_steps, parts, folder, spec.save_every, recorder):
        batch = windows.batch(step, 128)
        frame = to_float(torch.from_numpy(batch["frames"][:, 1]).to(device))
        action = torch.from_numpy(batch["actions"][:, 0]).to(device)
        target = (torch.from_numpy(batch["reward"][:, 0]).to(device) - reward.mean) / reward.std
        with torch.autocast(device.type, torch.bfloat16, enabled=model.config.bf16):
            predicted, end = reward(frame, action)
        loss = ((predicted - target) ** 2).mean()
        if "terminated" in batch:
            ended = torch.from_numpy(batch["terminated"][:, 0]).to(device).float()
            loss = loss + binary_cross_entropy_with_logits(end, ended)
        descend(loss, optimizer, max_grad_norm=10.0)
        schedule.step()
        if (step + 1) % spec.log_every == 0:
            recorder.scalars(step + 1, {"global/reward_loss": loss.item()})
            recorder.progress(step + 1, spec.reward_steps, "reward model")


def difference_std(windows: Windows) -> float:
    """Standard deviation of the difference between consecutive frames in [-1, 1]."""
    frames = to_float(torch.from_numpy(windows.batch(0, 512)["frames"]))
    return float((frames[:, -1] - frames[:, -2]).std().clamp(min=1e-4))
