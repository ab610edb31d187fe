"""What an episode refuses."""

from typing import Any

import numpy as np
import pytest

from core.data.episode import Episode, EpisodeError

FRAMES = np.zeros((4, 8, 8, 3), np.uint8)
ACTIONS = np.zeros((3, 2), np.float32)


def test_values_are_stored_as_float32_and_bool() -> None:
    made = Episode(FRAMES, np.ones((3, 2)), reward=np.arange(3), terminated=np.array([0, 0, 1]))
    assert made.actions.dtype == np.float32
    assert made.reward is not None
    assert made.reward.dtype == np.float32
    assert made.terminated is not None
    assert made.terminated.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"frames": FRAMES.astype(np.float32)}, "wrong_shape", "float32"),
        ({"frames": FRAMES[..., 0]}, "wrong_shape", r"\(4, 8, 8\)"),
        ({"frames": FRAMES[:1], "actions": ACTIONS[:0]}, "too_short", "1 frame"),
        ({"actions": ACTIONS[:2]}, "length_mismatch", "has 2 rows where 3 belong to 4 frames"),
        ({"actions": ACTIONS[:, :0]}, "wrong_shape", r"\(3, 0\)"),
        ({"actions": ACTIONS.astype(object)}, "wrong_type", "object"),
        ({"state": np.zeros((3, 1))}, "length_mismatch", "has 3 rows where 4 belong to 4 frames"),
        ({"reward": np.zeros((3, 2))}, "wrong_shape", r"\(3, 2\)"),
        ({"success": np.zeros(3)}, "length_mismatch", "has 3 rows"),
    ],
)
def test_wrong_fields_are_named(fields: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(EpisodeError, match=words) as caught:
        Episode(**{"frames": FRAMES, "actions": ACTIONS, **fields})
    assert caught.value.code == code
    assert caught.value.fix


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_a_value_that_is_not_finite_in_float32_is_placed(bad: float) -> None:
    actions = np.zeros((3, 2))
    actions[1, 1] = bad
    with pytest.raises(EpisodeError, match="at frame 1, column 1") as caught:
        Episode(FRAMES, actions)
    assert caught.value.frame == 1
