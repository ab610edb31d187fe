"""What edits of a table of episodes ask of the service."""

import pytest

from core.jobs.replies import Episode
from dashboard import dataset_edits


def episodes(count: int = 4) -> list[Episode]:
    return [
        Episode(n=n, length=10, split="train", video_url="", tags=["raw"] if n else [])
        for n in range(count)
    ]


def test_an_untouched_table_asks_for_nothing() -> None:
    before = dataset_edits.rows(episodes())
    assert dataset_edits.spec(before, before) == {}


def test_every_cell_that_was_changed_is_told() -> None:
    before = dataset_edits.rows(episodes())
    after = [dict(row) for row in before]
    after[0] |= {"Keep": False}
    after[1] |= {"Tags": "good,  slow ,", "Solved from": "7"}
    after[2] |= {"Solved from": "Never", "Cut at": "3, 6"}
    after[3] |= {"Tags": None, "Goal frames": "-1 4"}
    assert dataset_edits.spec(before, after) == {
        "drop": [0],
        "tags": {1: ["good", "slow"], 3: []},
        "success": {1: 7, 2: None},
        "cuts": {2: [3, 6]},
        "goals": [{"episode": 3, "frame": -1}, {"episode": 3, "frame": 4}],
    }


@pytest.mark.parametrize(("column", "typed"), [("Solved from", "3 4"), ("Cut at", "middle")])
def test_a_cell_that_cannot_be_read_is_named(column: str, typed: str) -> None:
    before = dataset_edits.rows(episodes())
    after = [dict(row) for row in before]
    after[2][column] = typed
    with pytest.raises(ValueError, match=f"Episode 2, {column}: '{typed}' is not"):
        dataset_edits.spec(before, after)
