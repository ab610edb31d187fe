"""Image measures against closed forms; an object keeps its size when it moves and turns."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.similarity import OBJECTS, gmsd, object_size, ssim
from core.envs.push_disc_render import PushDiscRenderer
from core.envs.push_t import GOAL_POSE
from core.envs.push_t_render import PushTRenderer
from core.global_model.model import to_float


def noise(seed: int) -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_equal_frames_are_alike() -> None:
    torch.testing.assert_close(ssim(noise(0), noise(0)), torch.ones(2))
    torch.testing.assert_close(gmsd(noise(0), noise(0)), torch.zeros(2))


def test_different_frames_are_less_alike_than_nearly_equal_ones() -> None:
    near = (noise(0) + 0.05 * noise(1)).clamp(-1, 1)
    assert (ssim(near, noise(0)) > ssim(noise(1), noise(0)) + 0.5).all()
    assert (gmsd(near, noise(0)) < gmsd(noise(1), noise(0)) - 0.05).all()


@given(st.floats(0, 1), st.floats(0, 1))
def test_ssim_of_constant_images_is_its_luminance_term(a: float, b: float) -> None:
    """Without variance, (2ab + c) / (a² + b² + c) is left, c = 0.01²."""
    left, right = (torch.full((1, 3, 32, 32), 2 * v - 1) for v in (a, b))
    expected = (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4)
    assert ssim(left, right).item() == pytest.approx(expected, abs=4e-3)


def test_gmsd_of_half_a_ramp_is_its_closed_form() -> None:
    """A ramp has one gradient everywhere; against a frame with the ramp's left half only, the
    similarity is 1 there and c / (g² + c) on the right."""
    slope = 0.02
    x = torch.arange(32.0).expand(1, 3, 32, 32) * slope
    half = x.clamp(max=15 * slope)
    edge = 2 * slope / 2 / 3 * 3  # Prewitt's difference over two pixels, in luminance of [0, 1]
    c = 170 / 255**2
    low = c / (edge**2 + c)
    found = gmsd(x - 1, half - 1).item()
    assert found == pytest.approx((1 - low) / 2, rel=0.1)


@given(st.floats(60, 180), st.floats(60, 180))
def test_a_moved_disc_keeps_its_size(x: float, y: float) -> None:
    draw = PushDiscRenderer(64, 28, 45)
    frame = to_float(torch.from_numpy(draw((400, 400), (x, y))))[None]
    area, radius = object_size(frame, *OBJECTS["push_disc"])
    assert area.item() == pytest.approx(math.pi * (45 / 8) ** 2, rel=0.1)
    assert radius.item() == pytest.approx(45 / 8 / math.sqrt(2), rel=0.05)


@given(st.floats(0, 2 * math.pi))
def test_a_turned_t_keeps_its_size(angle: float) -> None:
    draw = PushTRenderer(64, GOAL_POSE)
    turned, upright = (
        to_float(torch.from_numpy(draw((460, 460), (140, 140, a))))[None] for a in (angle, 0.0)
    )
    (area, radius), (true_area, true_radius) = (
        object_size(f, *OBJECTS["push_t"]) for f in (turned, upright)
    )
    assert area.item() == pytest.approx(true_area.item(), rel=0.12)
    assert radius.item() == pytest.approx(true_radius.item(), rel=0.06)


def test_a_smeared_disc_grows_and_a_faded_one_shrinks() -> None:
    draw = PushDiscRenderer(64, 28, 45)
    frame = to_float(torch.from_numpy(draw((400, 400), (150, 150))))[None]
    smeared, faded = (frame + frame.roll((4, 4), (-2, -1))) / 2, 0.4 * frame + 0.5
    area, radius = object_size(frame, *OBJECTS["push_disc"])
    assert object_size(smeared, *OBJECTS["push_disc"])[1] > 1.1 * radius
    assert object_size(faded, *OBJECTS["push_disc"])[0] < 0.8 * area
