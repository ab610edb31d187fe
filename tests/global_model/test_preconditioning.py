"""EDM preconditioning against its definition and against diffusers."""

import torch
from diffusers.schedulers import EDMEulerScheduler
from hypothesis import given
from hypothesis import strategies as st

from core.global_model.preconditioning import c_in, c_noise, c_out, c_skip

sigmas = st.floats(2e-3, 80).map(lambda s: torch.tensor(s, dtype=torch.float64))


@given(sigmas)
def test_input_and_target_have_unit_variance_at_every_sigma(sigma: torch.Tensor) -> None:
    noisy_variance = 1 + sigma**2
    torch.testing.assert_close(c_in(sigma) ** 2 * noisy_variance, torch.ones_like(sigma))
    # target = (x - c_skip (x + sigma n)) / c_out with x, n of unit variance
    target_variance = ((1 - c_skip(sigma)) ** 2 + (c_skip(sigma) * sigma) ** 2) / c_out(sigma) ** 2
    torch.testing.assert_close(target_variance, torch.ones_like(sigma))


@given(sigmas)
def test_scaling_equals_diffusers(sigma: torch.Tensor) -> None:
    reference = EDMEulerScheduler(sigma_data=1.0)
    sample, output = torch.full((1,), 0.7).double(), torch.full((1,), -0.3).double()
    ours = c_skip(sigma) * sample + c_out(sigma) * output
    torch.testing.assert_close(ours, reference.precondition_outputs(sample, output, sigma))
    torch.testing.assert_close(c_in(sigma) * sample, reference.precondition_inputs(sample, sigma))


def test_noise_levels_are_told_apart() -> None:
    levels = c_noise(torch.tensor([2e-3, 0.3, 10.0]))
    assert (levels.diff() > 100).all()
