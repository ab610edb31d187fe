"""Ways round the T, in its own frame: bar at the top, stem downwards, y down."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.envs.push_t_way import WaysAround, straight

PLACES = np.array([(0.0, -15.0), (-30.0, 90.0), (30.0, 90.0), (0.0, 135.0)])
"""Above the bar, left and right of the stem, below it."""
WAYS = WaysAround(PLACES)
anywhere = st.tuples(st.floats(-300, 300), st.floats(-300, 300)).map(np.array)


def outside(point: np.ndarray) -> bool:
    x, y = point
    return not (abs(x) < 76 and -16 < y < 46) and not (abs(x) < 31 and 14 < y < 136)


def test_a_place_in_sight_is_as_far_as_it_is() -> None:
    start = np.array([0.0, -115.0])
    assert WAYS.lengths(start)[0] == pytest.approx(100)


def test_the_other_side_of_the_stem_is_a_way_round_its_end() -> None:
    way = WAYS.lengths(np.array([-30.0, 90.0]))[2]
    assert way == pytest.approx(45 + 60 + 45)


def test_a_bar_in_the_way_is_gone_round() -> None:
    start, place = np.array([-60.0, -40.0]), PLACES[1]
    corners = np.hypot(15, 25) + 60 + np.hypot(45, 45)
    assert WAYS.lengths(start)[1] == pytest.approx(corners, rel=0.02)
    assert np.isinf(straight(start, place[None]))[0]


@given(anywhere.filter(outside))
def test_no_way_is_shorter_than_the_straight_one(start: np.ndarray) -> None:
    lengths = WAYS.lengths(start)
    assert np.isfinite(lengths).all()
    assert (lengths >= np.linalg.norm(PLACES - start, axis=-1) - 1e-6).all()


@given(anywhere.filter(outside), st.floats(-1, 1), st.floats(-1, 1))
def test_a_small_move_changes_a_way_by_no_more_than_its_length(
    start: np.ndarray, dx: float, dy: float
) -> None:
    moved = start + np.array([dx, dy])
    if outside(moved):
        change = np.abs(WAYS.lengths(moved) - WAYS.lengths(start))
        # what is eased near the rim may open a view: a few pixels at most
        assert (change <= np.hypot(dx, dy) + 8).all()


@given(anywhere.filter(outside))
def test_left_and_right_are_alike(start: np.ndarray) -> None:
    mirrored = WAYS.lengths(start * np.array([-1, 1]))
    np.testing.assert_allclose(WAYS.lengths(start)[[0, 2, 1, 3]], mirrored, atol=1e-9)


def test_a_squeezed_agent_still_has_a_way() -> None:
    assert np.isfinite(WAYS.lengths(np.array([0.0, 20.0]))).all()
