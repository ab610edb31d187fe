"""What is said of an upload before it is read: format, keys, ranges, and why."""

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from core.data.readers import FORMATS, LogError, detect
from core.jobs.spec import IngestSpec
from tests.data.hdf5_makers import robomimic
from tests.data.makers import Arrays, log, npz_bytes, npz_zip, per_frame, zarr_folder

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()


def walking(seed: int, kind: str, noise: float = 0.01) -> Arrays:
    """A point that is told where to go, or by how much."""
    rng = np.random.default_rng(seed)
    state = np.cumsum(rng.normal(size=(40, 2)), 0)
    action = state[1:] if kind == "absolute" else np.diff(state, axis=0)
    action = 3 * action + 1 + noise * rng.normal(size=action.shape)  # in other units
    return log(seed, 40) | {"state": state, "action": action}


@pytest.mark.parametrize("kind", ["absolute", "delta"])
def test_the_kind_of_actions_is_told_by_what_they_follow(tmp_path: Path, kind: str) -> None:
    found = detect(npz_zip(tmp_path / "a.zip", [walking(i, kind) for i in range(3)]))
    assert found.action_kind == kind
    assert "correlate" in found.action_kind_why


def test_actions_that_follow_nothing_have_no_kind(tmp_path: Path) -> None:
    found = detect(npz_zip(tmp_path / "a.zip", [log(i, 40) for i in range(3)]))
    assert found.action_kind is None
    assert "clearly" in found.action_kind_why
    without = [{k: v for k, v in log(i).items() if k != "state"} for i in range(2)]
    assert "without a state" in detect(npz_zip(tmp_path / "b.zip", without)).action_kind_why


def test_what_the_logs_say_goes_before_what_they_look_like(tmp_path: Path) -> None:
    meta = {"action_kind": "delta", "fps": 20, "units": {"actions": "m"}}
    logs = [walking(i, "absolute") for i in range(2)]
    found = detect(npz_zip(tmp_path / "a.zip", logs, meta=meta))  # type: ignore[arg-type]
    assert (found.action_kind, found.action_kind_why) == ("delta", "the logs say so")
    assert (found.fps, found.units) == (20, {"actions": "m"})


def test_ranges_are_those_of_the_rows(tmp_path: Path) -> None:
    logs = [log(i) for i in range(2)]
    found = detect(npz_zip(tmp_path / "a.zip", logs))
    actions = np.concatenate([one["action"] for one in logs]).astype(float)
    assert found.ranges["action"].low == tuple(actions.min(0))
    assert found.ranges["action"].high == tuple(actions.max(0))
    assert len(found.ranges["image"].low) == 1


def test_numbers_that_are_none_hide_neither_ranges_nor_the_kind_of_actions(tmp_path: Path) -> None:
    logs = [walking(i, "delta") for i in range(3)]
    sound = detect(npz_zip(tmp_path / "a.zip", logs))
    logs[1]["action"][5] = np.nan
    found = detect(npz_zip(tmp_path / "b.zip", logs))
    assert found.action_kind == sound.action_kind == "delta"
    assert "nan" not in found.action_kind_why
    assert np.isfinite([*found.ranges["action"].low, *found.ranges["action"].high]).all()


def test_cameras_and_columns_are_told_apart(tmp_path: Path) -> None:
    logs = [one | {"camera_1": one["image"]} for one in (per_frame(0), per_frame(1))]
    found = detect(zarr_folder(tmp_path / "a", logs))
    assert [(c.key, c.shape) for c in found.cameras] == [
        ("camera_1", (16, 16, 3)),
        ("img", (16, 16, 3)),
    ]
    assert [(c.key, c.shape, c.dtype) for c in found.columns] == [
        ("action", (2,), "float32"),
        ("state", (3,), "float32"),
    ]
    assert found.fields == {"image": "img", "action": "action", "state": "state"}


def test_a_missing_key_is_a_problem_and_the_keys_are_listed(tmp_path: Path) -> None:
    one = log(0)
    renamed = {"cam": one["image"], "cmd": one["action"]}
    (tmp_path / "a.npz").write_bytes(npz_bytes(renamed))
    found = detect(tmp_path / "a.npz")
    assert "no 'image' or 'images' among the keys ['cam', 'cmd']" in found.problem
    assert [c.key for c in found.cameras] == ["cam"]
    mapped = detect(tmp_path / "a.npz", mapping={"image": "cam", "action": "cmd"})
    assert (mapped.problem, mapped.fields) == ("", {"image": "cam", "action": "cmd"})
    with pytest.raises(LogError, match="no field is called 'picture'"):
        detect(tmp_path / "a.npz", mapping={"picture": "cam"})


def test_the_first_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    found = detect(npz_zip(tmp_path / "a.zip", [b"junk", log(1), log(2)]))
    assert (found.problem, found.episodes) == ("", 3)
    broken = detect(npz_zip(tmp_path / "b.zip", [b"junk", b"junk"]))
    assert "logs/ep_0.npz" in broken.problem


def test_a_detection_survives_json(tmp_path: Path) -> None:
    found = detect(robomimic(tmp_path / "demo.hdf5", [log(i) for i in range(2)]))
    assert type(found).model_validate_json(found.model_dump_json()) == found


def test_every_format_can_be_asked_for_and_is_described() -> None:
    names = [f.name for f in FORMATS]
    assert set(get_args(IngestSpec.model_fields["format"].annotation)) == {"auto", *names}
    anchors = re.findall(r'<a id="([a-z_0-9]+)"></a>\n## ', PAGE)
    assert set(names) <= set(anchors)
