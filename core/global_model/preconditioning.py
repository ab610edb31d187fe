"""EDM preconditioning (Karras et al. 2022, table 1): unit variance in and out at every sigma."""

import torch
from torch import Tensor


def c_in(sigma: Tensor, sigma_data: float = 1.0) -> Tensor:
    """Scale that gives the noisy input unit variance."""
    return (sigma**2 + sigma_data**2).rsqrt()


def c_skip(sigma: Tensor, sigma_data: float = 1.0) -> Tensor:
    """Share of the noisy input that goes straight to the output."""
    return sigma_data**2 / (sigma**2 + sigma_data**2)


def c_out(sigma: Tensor, sigma_data: float = 1.0) -> Tensor:
    """Scale of the network's output."""
    return sigma * sigma_data * (sigma**2 + sigma_data**2).rsqrt()


def c_noise(sigma: Tensor) -> Tensor:
    """Noise level as the network sees it; x1000 so that a sinusoidal embedding can tell levels apart."""
    return 1000.0 * torch.log(sigma) / 4.0
