"""Does the global model listen to actions? Logged actions against those of other episodes."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from core.data.dataset import Dataset
from core.data.windows import Windows
from core.devices import upload
from core.evaluation.fidelity import open_loop, psnr
from core.evaluation.statistics import Numbers, clustered_mean
from core.global_model.model import GlobalModel, to_float


class Sensitivity(NamedTuple):
    """By imagined step, in dB."""

    shuffled: Numbers
    """PSNR to what really came, imagined with the actions of another window, (horizon,)."""
    gain: Numbers
    """By how much the logged actions bring it closer, (horizon,); 0: actions do not matter."""
    interval: Numbers
    """95 % interval of `gain` over resampled episodes, (horizon, 2)."""


def action_sensitivity(
    model: GlobalModel, dataset: Dataset, horizon: int, count: int, seed: int
) -> Sensitivity:
    """Imagine `count` held-out windows twice, from the same frames and with the same noise.

    Once with the logged actions and once with those of the next window drawn; past actions, which
    belong to the frames that were seen, stay the logged ones.
    """
    context = model.config.context
    windows = Windows(dataset, "validation", context + horizon)
    starts = np.random.default_rng(seed).choice(windows.starts(), count)
    batch, device = windows.at(starts), model.denoiser.device
    frames = to_float(upload(batch["frames"], device))
    actions = upload(batch["actions"], device)
    other = actions.clone()
    other[:, context - 1 :] = actions.roll(1, 0)[:, context - 1 :]
    logged, shuffled = (
        psnr(open_loop(model, frames, a, _noise(seed))[0], frames[:, context:])
        for a in (actions, other)
    )
    gain, interval = clustered_mean(
        (logged - shuffled).double().cpu().numpy(), episodes_of(dataset, starts), seed=seed
    )
    return Sensitivity(shuffled.mean(0).double().cpu().numpy(), gain, interval)


def episodes_of(dataset: Dataset, rows: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number of the episode that each row of the dataset lies in."""
    first = np.array([e.start for e in dataset.episodes])
    return np.searchsorted(first, rows, side="right") - 1


def _noise(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
