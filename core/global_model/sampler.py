"""Euler steps from sigma_max to 0."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(noisy, sigma of shape (batch,)) -> denoised."""


def euler_sample(denoise: Denoise, noise: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Solve the probability-flow ODE by Euler steps (EDM, algorithm 1, no churn).

    `noise` is standard normal; the sample has its shape. With one step the result is the
    denoiser's own answer at sigma_max.
    """
    x = noise * sigmas[0]
    for sigma, following in pairwise(sigmas):
        denoised = denoise(x, x.new_full((len(x),), sigma))
        x = x + (x - denoised) / sigma * (following - sigma)
    return x
