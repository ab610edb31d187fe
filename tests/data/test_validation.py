"""What the checks find in episodes whose shapes are right, and what `trim` makes of them."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data import clock
from core.data.codes import CODES
from core.data.dataset import Dataset
from core.data.episode import EpisodeError
from core.data.resample import resampled
from core.data.trim import Held
from tests.data.makers import Arrays, findings, ingest, npz_zip
from worker.decoding import REASONS

FORMATS_PAGE = Path(__file__).parents[2] / "docs" / "formats.md"


def scene(seed: int, length: int = 30, side: int = 32) -> Arrays:
    """A red floor, a blue sky, a green wall to the left, and a white disc that wanders."""
    rng = np.random.default_rng(seed)
    frames = np.zeros((length, side, side, 3), np.uint8)
    frames[:, side // 2 :, :, 0], frames[:, : side // 2, :, 2] = 200, 120
    frames[:, :, : side // 4, 1] = 180
    path = np.cumsum(rng.integers(-1, 2, (length, 2)), axis=0) + side // 2
    for frame, (row, column) in zip(frames, path.clip(2, side - 3), strict=True):
        frame[row - 2 : row + 2, column - 2 : column + 2] = 255
    # A blinking light, so that no frame is the same as the one before.
    frames[::2, 0, -1] = 255
    return {
        "image": frames,
        "action": rng.normal(size=(length - 1, 2)).astype(np.float32),
        "state": path.astype(np.float32),
    }


def places(out: Path, code: str) -> list[tuple[str, int | None, int | None]]:
    """Severity, episode and frame of each finding of a code."""
    found = findings(out, "error", "warning", "info")
    return [(f["severity"], f["episode"], f["frame"]) for f in found if f["code"] == code]


def ingested(tmp_path: Path, logs: list[Arrays], **spec: Any) -> tuple[Path, dict[str, Any]]:
    return ingest(tmp_path, lambda p: npz_zip(p, logs), **spec)


def test_good_logs_have_no_findings(tmp_path: Path) -> None:
    out, _ = ingested(tmp_path, [scene(i) for i in range(8)], units={"actions": "px"})
    assert findings(out, "error", "warning", "info") == []


def test_every_code_is_explained_in_the_docs_and_no_other() -> None:
    """Those of findings, and of jobs that fail."""
    anchors = re.findall(r'<a id="([a-z_0-9]+)"></a>`', FORMATS_PAGE.read_text())
    assert sorted(anchors) == sorted([*CODES, *REASONS])


def test_mirrored_and_recoloured_episodes_stand_out(tmp_path: Path) -> None:
    logs = [scene(i) for i in range(9)]
    logs[2]["image"] = logs[2]["image"][:, :, ::-1]
    logs[4]["image"] = logs[4]["image"][:, ::-1]
    logs[6]["image"] = logs[6]["image"][..., ::-1]
    out, _ = ingested(tmp_path, logs)
    assert places(out, "mirrored") == [("warning", 2, 0), ("warning", 4, 0)]
    assert places(out, "color_order") == [("warning", 6, 0)]


def test_a_flip_at_ingest_undoes_a_flip_of_the_camera(tmp_path: Path) -> None:
    logs = [scene(i) for i in range(3)]
    turned = [a | {"image": a["image"][:, ::-1, :, ::-1]} for a in logs]
    straight = Dataset.open(ingested(tmp_path, logs)[0])
    mended = Dataset.open(ingested(tmp_path, turned, flip="vertical", color_order="bgr")[0])
    assert (straight.frames == mended.frames).all()


def test_pixels_of_zero_and_one_are_refused(tmp_path: Path) -> None:
    logs = [scene(i) for i in range(4)]
    logs[1]["image"] = (logs[1]["image"] > 0).astype(np.uint8)
    out, result = ingested(tmp_path, logs)
    assert result["episodes"] == 3
    assert places(out, "pixel_range") == [("error", 1, None)]


def test_an_episode_in_another_range_than_the_first_is_refused(tmp_path: Path) -> None:
    logs = [scene(i) for i in range(4)]
    for i, arrays in enumerate(logs):
        arrays["image"] = arrays["image"] / np.float32(255 if i == 2 else 1)
    out, _ = ingested(tmp_path, logs)
    assert places(out, "pixel_range") == [("error", 2, None)]
    assert places(out, "converted") == [("info", 0, 0)]


def test_a_cut_inside_an_episode_is_found(tmp_path: Path) -> None:
    logs = [scene(i) for i in range(3)]
    logs[1]["image"][17:] = 255 - logs[1]["image"][17:]
    out, _ = ingested(tmp_path, logs)
    assert places(out, "scene_cut") == [("warning", 1, 17)]


def test_clipped_and_frozen_actions_are_found(tmp_path: Path) -> None:
    clipped, frozen, switch = (scene(i, 80) for i in range(3))
    clipped["action"][:, 1] = (2 * clipped["action"][:, 1]).clip(-1, 1)
    frozen["action"][20:50] = frozen["action"][20]
    switch["action"][:, 1] = np.arange(79) % 20 < 10
    out, _ = ingested(tmp_path, [clipped, frozen, switch])
    first = int(np.argmax(clipped["action"][:, 1] == -1))
    assert ("warning", 0, first) in places(out, "clipped_actions")
    assert {e for _, e, _ in places(out, "clipped_actions")} == {0}
    assert places(out, "frozen_actions") == [("warning", 1, 20)]


def test_a_command_cut_so_hard_that_hardly_any_value_is_left_is_no_switch(tmp_path: Path) -> None:
    hard, levels = scene(0, 80), scene(1, 80)
    hard["action"][:, 1] = np.where(np.arange(79) % 20 < 10, -1, 1)
    hard["action"][[10, 30, 50], 1] = [0.1, -0.4, 0.7]  # on the way from one end to the other
    levels["action"][:, 1] = np.array([-1, 0, 0.5, 1])[np.arange(79) // 5 % 4]
    out, _ = ingested(tmp_path, [hard, levels])
    assert places(out, "clipped_actions") == [("warning", 0, 0), ("warning", 0, 11)]


@pytest.mark.parametrize("black", [True, False])
def test_filling_at_the_end_is_found_and_cut(tmp_path: Path, black: bool) -> None:
    logs = [scene(i, 40) for i in range(3)]
    logs[1]["image"][30:] = 0 if black else logs[1]["image"][30]
    logs[1]["action"][30 - black :] = 0
    first = 30 + (not black)
    out, result = ingested(tmp_path, logs)
    assert places(out, "padding") == [("warning", 1, first)]
    assert result["frames"] == 120
    out, result = ingested(tmp_path, logs, bad_episodes="trim")
    assert result["frames"] == 80 + first
    assert "frames 0 to " in findings(out)[0]["message"]


def with_time(length: int, fps: float = 10.0, scale: float = 1.0) -> Arrays:
    return scene(0, length) | {"timestamp": scale * np.arange(length) / fps}


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6, 1e9])
def test_the_rate_comes_from_time_stamps_of_any_unit(tmp_path: Path, scale: float) -> None:
    logs = [scene(i) | {"timestamp": scale * np.arange(30) / 15} for i in range(3)]
    _, result = ingested(tmp_path, logs)
    assert result["fps"] == 15.0
    assert result["warnings"] == 0


def test_time_that_jumps_or_goes_back_is_found_and_cut(tmp_path: Path) -> None:
    logs = [scene(i, 40) | {"timestamp": np.arange(40) / 10} for i in range(4)]
    logs[1]["timestamp"][25:] += 3.0
    logs[2]["timestamp"][12:] -= 2.0
    out, result = ingested(tmp_path, logs)
    assert places(out, "time_gap") == [("warning", 1, 25)]
    assert places(out, "time_backward") == [("error", 2, 12)]
    assert result["episodes"] == 3
    out, result = ingested(tmp_path, logs, bad_episodes="trim")
    assert places(out, "time_gap") == [("warning", 1, 25)]
    assert places(out, "time_backward") == [("warning", 2, 12)]
    dataset = Dataset.open(out)
    assert [e.length for e in dataset.episodes] == [40, 25, 28, 40]
    assert dataset.episodes[2].source == "logs/ep_2.npz, frames 12 to 39"
    kept = slice(dataset.episodes[2].start, dataset.episodes[3].start)
    assert (dataset.frames[kept] == logs[2]["image"][12:]).all()
    assert json.loads((out / "report.json").read_text())["summary"]["episodes_trimmed"] == 2


def test_drift_is_told_in_milliseconds_and_may_be_tolerated(tmp_path: Path) -> None:
    logs = [scene(i) | {"timestamp": np.arange(30) / 10} for i in range(3)]
    logs[1]["timestamp"][20:] += 0.04  # 14 cm/s of drift is no gap
    logs[1]["timestamp"][25:] += 0.04
    out, _ = ingested(tmp_path, logs)
    assert places(out, "time_skew") == [("warning", 1, 25)]
    assert "80.0 ms off" in findings(out)[0]["message"]
    out, _ = ingested(tmp_path, logs, time_tolerance=0.1)
    assert places(out, "time_skew") == []
    out, _ = ingested(tmp_path, logs, time_tolerance=0.03)
    assert places(out, "time_skew") == [("warning", 1, 25)]


def test_trim_keeps_the_longest_part_without_nan(tmp_path: Path) -> None:
    logs = [scene(i, 60) for i in range(3)]
    logs[1]["action"][10] = np.nan
    logs[1]["state"][40] = np.inf
    out, result = ingested(tmp_path, logs, bad_episodes="trim")
    dataset = Dataset.open(out)
    assert dataset.episodes[1].length == 29
    assert places(out, "not_finite") == [("warning", 1, 10), ("warning", 1, 40)]
    rows = slice(dataset.episodes[1].start, dataset.episodes[1].start + 29)
    assert (dataset.frames[rows] == logs[1]["image"][11:40]).all()
    assert (dataset.actions[rows][:-1] == logs[1]["action"][11:39]).all()
    assert result["episodes"] == 3


def test_trim_cuts_what_is_a_little_too_long(tmp_path: Path) -> None:
    logs = [scene(i, 40) for i in range(4)]
    logs[1]["action"] = logs[1]["action"][:-2]
    logs[2]["state"] = logs[2]["state"][:5]
    out, result = ingested(tmp_path, logs, bad_episodes="trim")
    assert [e.length for e in Dataset.open(out).episodes] == [40, 38, 40]
    assert places(out, "length_mismatch") == [("warning", 1, 37), ("error", 2, 5)]
    assert result["dropped"] == 1


def test_odd_pictures_become_square_as_asked(tmp_path: Path) -> None:
    logs = [scene(i) for i in range(3)]
    wide = [a | {"image": np.pad(a["image"], ((0, 0), (0, 0), (8, 8), (0, 0)))} for a in logs]
    plain = Dataset.open(ingested(tmp_path, logs)[0]).frames
    cropped = ingested(tmp_path, wide, fit="crop")[0]
    assert (Dataset.open(cropped).frames == plain).all()
    boxed = ingested(tmp_path, wide, crop=(8, 0, 32, 32))[0]
    assert (Dataset.open(boxed).frames == plain).all()
    padded = Dataset.open(ingested(tmp_path, wide, fit="pad")[0]).frames
    assert padded.shape[1:3] == (48, 48)
    assert not padded[:, :8].any()
    assert (padded[:, 8:40, 8:40] == plain).all()
    with pytest.raises(ValueError, match="crop asks for 64 x 64"):
        ingested(tmp_path, logs, crop=(0, 0, 64, 64))


def test_relative_actions_add_up_to_absolute_ones(tmp_path: Path) -> None:
    logs = [scene(i) for i in range(3)]
    absolute = Dataset.open(ingested(tmp_path, logs, action_kind="absolute")[0])
    out, result = ingested(tmp_path, logs, relative_actions="previous")
    relative = Dataset.open(out)
    assert (absolute.meta.action_kind, relative.meta.action_kind) == ("absolute", "delta")
    assert result["action_kind"] == "delta"
    for episode in absolute.episodes:
        rows = slice(episode.start, episode.start + episode.length - 1)
        summed = absolute.actions[rows][0] + np.cumsum(relative.actions[rows], axis=0)
        np.testing.assert_allclose(summed, absolute.actions[rows], atol=1e-5)
    to_state = Dataset.open(ingested(tmp_path, logs, relative_actions="state")[0])
    assert to_state.state is not None
    rows = slice(0, absolute.episodes[0].length - 1)
    np.testing.assert_allclose(
        to_state.actions[rows] + to_state.state[rows], absolute.actions[rows], atol=1e-5
    )
    bare = [{k: v for k, v in a.items() if k != "state"} for a in logs]
    with pytest.raises(ValueError, match="state: is missing"):
        ingested(tmp_path, bare, relative_actions="state")


def test_half_the_rate_keeps_every_second_frame_and_the_sum_of_changes(tmp_path: Path) -> None:
    logs = [scene(i, 21) | {"reward": np.ones(20, np.float32)} for i in range(3)]
    out, result = ingested(tmp_path, logs, fps=10, target_fps=5)
    dataset = Dataset.open(out)
    assert (result["fps"], [e.length for e in dataset.episodes]) == (5.0, [11, 11, 11])
    assert (dataset.frames[:11] == logs[0]["image"][::2]).all()
    changes = logs[0]["action"].reshape(10, 2, 2).sum(1)
    np.testing.assert_allclose(dataset.actions[:10], changes, atol=1e-5)
    assert dataset.reward is not None
    assert (dataset.reward[:10] == 2).all()
    held = Dataset.open(ingested(tmp_path, logs, fps=10, target_fps=5, action_kind="absolute")[0])
    assert (held.actions[:10] == logs[0]["action"][::2]).all()


@given(st.integers(2, 40), st.floats(0.2, 5), st.sampled_from(["hold", "nearest", "interpolate"]))
def test_resampling_loses_no_reward_and_keeps_the_ends(
    length: int, fps: float, method: Any
) -> None:
    rng = np.random.default_rng(length)
    times = np.cumsum(rng.uniform(0.5, 1.5, length))
    fields = {
        "image": Held.slice(np.arange(length)[:, None]),
        "action": Held.slice(rng.normal(size=(length - 1, 2))),
        "reward": Held.slice(rng.normal(size=length - 1)),
        "terminated": Held.slice(np.arange(length - 1) == length - 2),
        "state": Held.slice(times[:, None]),
    }
    out, ticking = resampled(fields, times, fps, method, "delta")  # type: ignore[arg-type]
    count, rows = len(out["image"]), ticking.rows
    assert count == len(rows) == int((times[-1] - times[0]) * fps + 1e-6) + 1
    assert (out["image"].read()[:, 0] == rows).all()
    assert (np.diff(rows) >= 0).all()
    if count < 2:
        return
    for name in ("action", "reward"):
        assert len(out[name]) == count - 1
        np.testing.assert_allclose(out[name].read().sum(0), fields[name].read().sum(0), atol=1e-9)
    assert out["terminated"].read().tolist() == [False] * (count - 2) + [True]
    if method == "interpolate":
        ticks = times[0] + np.arange(count) / fps
        np.testing.assert_allclose(out["state"].read()[:, 0], ticks.clip(None, times[-1]))


@given(st.lists(st.floats(0.011, 1.4), min_size=3, max_size=30))
def test_stamps_in_order_are_never_called_backward(steps: list[float]) -> None:
    times = np.concatenate([[0.0], np.cumsum(steps)])
    clock.check_order(times)
    with pytest.raises(EpisodeError, match="goes from"):
        clock.check_order(np.append(times, times[-1]))
