"""Noise levels: log-normal in training, Karras ladder in sampling."""

import torch
from torch import Tensor

from core.devices import normal


def training_sigmas(count: int, mean: float, std: float, generator: torch.Generator) -> Tensor:
    """Log-normal sigmas of shape (count,) (EDM, table 1), in units of the data's deviation."""
    return torch.exp(mean + std * normal((count,), generator))


def sampling_sigmas(
    num_steps: int, sigma_min: float = 2e-3, sigma_max: float = 10.0, rho: float = 7.0
) -> tuple[float, ...]:
    """Falling ladder of `num_steps` sigmas and a final 0 (EDM, eq. 5)."""
    if num_steps == 1:
        return (sigma_max, 0.0)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    ladder = [(high + i / (num_steps - 1) * (low - high)) ** rho for i in range(num_steps)]
    return (*ladder, 0.0)
