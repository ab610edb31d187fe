"""Noise ladders and the Euler sampler."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers.schedulers import EDMEulerScheduler
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from core.global_model.sampler import euler_sample
from core.global_model.schedule import sampling_sigmas, training_sigmas


@given(st.integers(1, 20), st.floats(0.5, 80))
def test_sigmas_fall_from_the_largest_to_zero(num_steps: int, sigma_max: float) -> None:
    sigmas = sampling_sigmas(num_steps, sigma_max=sigma_max)
    assert len(sigmas) == num_steps + 1
    assert sigmas[0] == pytest.approx(sigma_max)
    assert sigmas[-1] == 0
    assert all(a > b for a, b in pairwise(sigmas))


def test_ladder_equals_diffusers() -> None:
    reference = EDMEulerScheduler(sigma_min=2e-3, sigma_max=5.0)
    reference.set_timesteps(3)
    assert sampling_sigmas(3, sigma_max=5.0) == pytest.approx(reference.sigmas.tolist(), rel=1e-4)


def test_training_sigmas_are_log_normal() -> None:
    sigmas = training_sigmas(100_000, 1.2, 1.4, torch.Generator().manual_seed(0)).log()
    assert sigmas.mean().item() == pytest.approx(1.2, abs=0.02)
    assert sigmas.std().item() == pytest.approx(1.4, abs=0.02)


def test_one_step_is_the_denoisers_answer() -> None:
    answer = torch.randn(3, 4)
    noise = torch.randn(3, 4)
    assert torch.allclose(euler_sample(lambda x, s: answer, noise, (10.0, 0.0)), answer, atol=1e-5)


def test_many_steps_turn_noise_into_the_data_distribution() -> None:
    """For data N(m, v) the best denoiser is known, and the ODE maps N(0, sigma^2) onto N(m, v)."""
    mean, variance = 1.5, 0.25

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        s = sigma[:, None] ** 2
        return (variance * x + s * mean) / (variance + s)

    noise = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0))
    sample = euler_sample(denoise, noise, sampling_sigmas(200, sigma_max=80))
    assert sample.mean().item() == pytest.approx(mean, abs=0.05)
    assert sample.std().item() == pytest.approx(math.sqrt(variance), abs=0.03)
