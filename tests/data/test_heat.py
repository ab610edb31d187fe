"""The difference of two videos as colours."""

import numpy as np
import pytest

from core.data.heat import FULL, heat


def test_equal_frames_are_black_and_brightness_grows_with_the_difference() -> None:
    left = np.full((3, 4, 5, 3), 100, np.uint8)
    right = left + np.array([0, 20, int(FULL)], np.uint8)[:, None, None, None]
    light = heat(left, right).astype(int).sum(-1)
    assert (light[0] == 0).all()
    assert (light[1] > 0).all()
    assert (light[2] == 3 * 255).all()
    assert np.array_equal(heat(left, right), heat(right, left))


def test_videos_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        heat(np.zeros((1, 4, 4, 3), np.uint8), np.zeros((2, 4, 4, 3), np.uint8))
