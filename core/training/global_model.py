"""Loop: the denoiser of the global model."""

from pathlib import Path

import torch
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.data.dataset import Dataset
from core.data.windows import Windows
from core.devices import bf16, generator_for, normal, uniform
from core.global_model.denoiser import Denoiser
from core.global_model.model import GlobalModel, quantise, to_float
from core.global_model.preconditioning import c_in, c_noise, c_out, c_skip
from core.global_model.schedule import training_sigmas
from core.jobs.spec import GlobalModelSpec
from core.recorder import Recorder
from core.training.checkpoint import GeneratorState, Stateful
from core.training.descent import descend
from core.training.feed import Feed, Waits
from core.training.loop import resumable_steps, warm_up_then_cosine


def train_denoiser(
    spec: GlobalModelSpec, model: GlobalModel, dataset: Dataset, recorder: Recorder, folder: Path
) -> None:
    """Denoise the difference between consecutive frames; leaves the averaged weights in `model`."""
    denoiser, device = model.denoiser, model.denoiser.device
    denoiser.eval()  # in training mode diffusers' blocks leave channels_last; nothing else differs
    windows = Windows(dataset, "train", spec.context + spec.autoregressive_steps, spec.seed)
    if spec.start_from is None:  # whose weights belong to its own units
        denoiser.diff_std.fill_(difference_std(windows))
    generator = generator_for(device, spec.seed)
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
    waits = Waits()
    how_many = spec.batch_size, spec.liveliest_of
    feed = Feed(lambda step: windows.batch(step, *how_many), device, waits)
    for step in resumable_steps(spec.steps, parts, folder, spec.save_every, recorder):
        batch = feed.batch(step)
        frames, actions = to_float(batch["frames"]), batch["actions"][:, :-1]
        with bf16(device, model.config.bf16):
            loss = denoising_loss(denoiser, frames, actions, spec, generator)
        norm = descend(loss, optimizer, max_grad_norm=1.0)
        schedule.step()
        average.update_parameters(denoiser)
        if (step + 1) % spec.log_every == 0:
            values = {"global/loss": loss.item(), "global/grad_norm": norm}
            recorder.scalars(step + 1, values | waits.metric())
            recorder.progress(step + 1, spec.steps, "denoiser")
    denoiser.load_state_dict(average.module.state_dict())


def denoising_loss(
    denoiser: Denoiser,
    frames: Tensor,
    actions: Tensor,
    spec: GlobalModelSpec,
    generator: torch.Generator,
) -> Tensor:
    """Mean loss of predicting frame after frame, each from the model's own earlier ones.

    `frames` (batch, context + autoregressive_steps, 3, H, W), `actions` one fewer. The first
    `context` frames are real, with a little noise of random strength. Errors that imagination
    makes are thus part of what is trained on, and the next frame has to mend them.
    """
    past = frames[:, : spec.context]
    strength = spec.context_noise * uniform((len(past), 1, 1, 1, 1), generator)
    past = past + (strength * normal(past.shape, generator)).to(past.device)
    losses = []
    for t in range(spec.autoregressive_steps):
        following, taken = frames[:, spec.context + t], actions[:, t : t + spec.context]
        loss, imagined = denoise(denoiser, past, taken, following, spec, generator)
        losses.append(loss)
        past = torch.cat([past[:, 1:], imagined[:, None]], 1)
    return torch.stack(losses).mean()


def denoise(
    denoiser: Denoiser,
    past: Tensor,
    actions: Tensor,
    following: Tensor,
    spec: GlobalModelSpec,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """EDM loss on the network's own scale, which has unit weight at every sigma (EDM, eq. 8).

    Also returns the frame that the network made of the noisy one, without gradient.
    """
    clean = denoiser.to_difference(following, past[:, -1])
    sigma = training_sigmas(len(clean), spec.sigma_mean, spec.sigma_std, generator)
    sigma = sigma.to(clean.device)
    noise = normal(clean.shape, generator, clean.device)
    s = sigma[:, None, None, None]
    noisy = clean + s * noise
    target = (clean - c_skip(s) * noisy) / c_out(s)
    predicted = denoiser.network(c_in(s) * noisy, c_noise(sigma), past, actions)
    denoised = c_skip(s) * noisy + c_out(s) * predicted.detach()
    return ((predicted - target) ** 2).mean(), quantise(denoiser.to_frame(denoised, past[:, -1]))


def difference_std(windows: Windows) -> float:
    """Standard deviation of the difference between consecutive frames in [-1, 1]."""
    frames = to_float(torch.from_numpy(windows.batch(0, 512)["frames"]))
    return float((frames[:, -1] - frames[:, -2]).std().clamp(min=1e-4))
