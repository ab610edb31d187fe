"""Rendering: right colours, smooth below a pixel, the same picture at any size."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.envs.paint import paint_boxes, paint_disc
from core.envs.push_disc import AGENT_RADIUS_PX, DISC_RADIUS_PX
from core.envs.push_disc_render import AGENT, BACKGROUND, DISC, GOAL_MARK, PushDiscRenderer
from core.envs.push_t_render import PushTRenderer


def push_disc(size: int) -> PushDiscRenderer:
    return PushDiscRenderer(size, AGENT_RADIUS_PX, DISC_RADIUS_PX)


@given(x=st.floats(10, 22), y=st.floats(10, 22), radius=st.floats(2, 9))
def test_disc_covers_its_area_around_its_centre(x: float, y: float, radius: float) -> None:
    image = np.zeros((32, 32, 3), np.float32)
    paint_disc(image, (x, y), radius, (1, 1, 1))
    share = image[..., 0]
    assert share.sum() == pytest.approx(np.pi * radius**2, rel=0.05)
    rows, columns = np.mgrid[0:32, 0:32] + 0.5
    assert (share * columns).sum() / share.sum() == pytest.approx(x, abs=0.05)
    assert (share * rows).sum() / share.sum() == pytest.approx(y, abs=0.05)


@given(angle=st.floats(-4, 4), x=st.floats(14, 18), y=st.floats(14, 18))
def test_turned_box_covers_its_area(angle: float, x: float, y: float) -> None:
    image = np.zeros((32, 32, 3), np.float32)
    paint_boxes(image, (x, y), angle, [(-6, -3, 6, 5)], [(0.0, (1, 1, 1))])
    assert image[..., 0].sum() == pytest.approx(12 * 8, rel=0.05)


@pytest.mark.parametrize("size", [32, 64])
def test_small_moves_change_the_image_steadily(size: int) -> None:
    draw = push_disc(size)
    pixel = 512 / size
    start = draw((100.0, 100.0), (300.0, 200.0)).astype(int)
    moves = np.arange(1, 9) / 8 * pixel
    changes = [np.abs(draw((100.0 + m, 100.0), (300.0, 200.0)) - start).sum() for m in moves]
    assert all(np.diff([0, *changes]) > 0)
    steps = np.diff([0, *changes])
    assert steps.max() < 3 * steps.min()


def test_block_moves_and_turns_smoothly() -> None:
    draw = PushTRenderer(64, (256, 256, 0.8))
    start = draw((50.0, 50.0), (200, 200, 0.3)).astype(int)
    for axis, unit in ((0, 1.0), (2, 0.02)):
        changes = []
        for k in range(1, 9):
            pose = [200, 200, 0.3]
            pose[axis] += unit * k
            changes.append(np.abs(draw((50.0, 50.0), pose) - start).sum())
        assert all(np.diff([0, *changes]) > 0)


@pytest.mark.parametrize("size", [32, 64, 96])
def test_every_size_shows_the_same_scene(size: int) -> None:
    discs = [push_disc(n)((150.0, 130.0), (300.0, 220.0)) for n in (size, 8 * size)]
    ts = [PushTRenderer(n, (256, 256, 0.8))((150, 130), (300, 220, 2)) for n in (size, 8 * size)]
    for small, large in (discs, ts):
        shrunk = cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - shrunk).mean() < 2


def test_agent_disc_and_covered_goal_are_visible() -> None:
    image = push_disc(64)((100.0, 100.0), (256.0, 256.0))
    assert image.shape == (64, 64, 3)
    assert image.dtype == np.uint8
    assert tuple(image[12, 12]) == AGENT
    assert tuple(image[60, 60]) == BACKGROUND
    assert tuple(image[32, 35]) == DISC
    np.testing.assert_allclose(image[31, 31], GOAL_MARK, atol=5)


def test_shapes_outside_the_image_leave_it_alone() -> None:
    image = np.zeros((16, 16, 3), np.float32)
    paint_disc(image, (-40.0, 8.0), 5.0, (1, 1, 1))
    paint_boxes(image, (8.0, 60.0), 0.5, [(-3, -3, 3, 3)], [(0.0, (1, 1, 1))])
    assert not image.any()


def test_tiny_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        push_disc(4)
