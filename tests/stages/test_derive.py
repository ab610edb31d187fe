"""New datasets of old ones: what is kept, cut, merged and labelled, and that nothing else is."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.artifacts import Artifacts, StagePaths, UnknownArtifact
from core.data.dataset import Dataset, EpisodeInfo
from core.data.derive import episode_of, parts
from core.data.video import read_mp4
from core.data.writer import DatasetWriter
from core.jobs.rewards import GoalFrame
from core.jobs.spec import DeriveSpec
from core.recorder import Cancelled, NullRecorder, Recorder
from core.stages import run_stage
from tests.data.makers import ListRecorder, episode

FIRST, SECOND, SMALL = "ds_00000001", "ds_00000002", "ds_00000003"


def write(home: Path, name: str, seeds: range, **changes: Any) -> Dataset:
    with DatasetWriter(Artifacts(home).dataset(name)) as writer:
        for seed in seeds:
            writer.append(episode(seed, 6 + seed % 4, changes.get("side", 16)), tags=("raw",))
        return writer.finish(
            name=name, fps=10, action_kind=changes.get("kind", "delta"), units={"actions": "m"}
        )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path, FIRST, range(8))
    write(tmp_path, SECOND, range(6, 12))
    return tmp_path


@pytest.fixture
def derive(home: Path) -> Callable[..., Dataset]:
    def run(recorder: Recorder | None = None, **fields: Any) -> Dataset:
        out = home / f"out-{len(list(home.glob('out-*')))}"
        out.mkdir()
        spec = DeriveSpec.model_validate({"dataset": FIRST, "name": "derived", **fields})
        run_stage(spec, StagePaths(Artifacts(home), home, out), recorder or NullRecorder())
        return Dataset.open(out)

    return run


def rows(dataset: Dataset, n: int) -> slice:
    info = dataset.episodes[n]
    return slice(info.start, info.start + info.length)


def test_left_out_episodes_are_gone_and_the_rest_is_the_same(
    home: Path, derive: Callable[..., Dataset]
) -> None:
    old = Dataset.open(Artifacts(home).dataset(FIRST))
    dropped = [n for n, e in enumerate(old.episodes) if e.split == "train"][1:4:2]
    kept = [n for n in range(8) if n not in dropped]
    new = derive(drop=dropped)
    assert [e.source for e in new.episodes] == [f"ep_{n}" for n in kept]
    for at, n in enumerate(kept):
        for field, values in old.fields().items():
            assert (values[rows(old, n)] == new.fields()[field][rows(new, at)]).all()
        assert new.episodes[at].split == old.episodes[n].split
        assert new.episodes[at].tags == ("raw",)
    assert (new.meta.version, old.meta.version) == (2, 1)
    assert new.meta.units == {"actions": "m"}
    assert new.meta.spec["drop"] == dropped
    preview = read_mp4(new.path / "previews" / "0.mp4")
    assert len(preview) == new.episodes[0].length
    report = json.loads((new.path / "report.json").read_text())
    assert report["summary"]["format"] == f"derived from {FIRST}"
    assert len(report["statistics"]["histograms"]) == 2 + 3 + 1


def test_a_new_split_is_chosen_if_none_is_left_to_hold_out(
    home: Path, derive: Callable[..., Dataset]
) -> None:
    old = Dataset.open(Artifacts(home).dataset(FIRST))
    held = [n for n, e in enumerate(old.episodes) if e.split == "validation"]
    assert len(derive(drop=held).validation) == 1


def test_kept_episodes_come_in_the_order_asked_for(derive: Callable[..., Dataset]) -> None:
    new = derive(keep=[7, 0, 3])
    assert [e.source for e in new.episodes] == ["ep_7", "ep_0", "ep_3"]


def test_merged_datasets_lose_only_what_is_there_twice(derive: Callable[..., Dataset]) -> None:
    new = derive(merge=[SECOND])
    assert [e.source for e in new.episodes] == [f"ep_{n}" for n in range(12)]
    report = json.loads((new.path / "report.json").read_text())
    assert [(f["code"], f["episode"]) for f in report["findings"]] == [
        ("duplicate", 8),
        ("duplicate", 9),
    ]
    assert report["summary"]["episodes_dropped"] == 2


@given(st.data())
def test_no_step_is_in_both_splits_after_a_merge_with_a_part_of_itself(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        first = write(home, FIRST, range(6))
        old, second = Artifacts(home).dataset(SECOND), data.draw(st.sampled_from([0, 1, 2]))
        with DatasetWriter(old) as writer:
            for n in data.draw(st.permutations(range(second, 6))):
                start = data.draw(st.integers(0, 2))
                spec = DeriveSpec(dataset=FIRST, name="cut", cuts={n: [start]} if start > 1 else {})
                part = [p for p in parts([first], spec) if p.n == n][-1]
                writer.append(episode_of(part, tuple(first.fields()), spec))
            writer.finish(
                name="cut", fps=10, action_kind="delta", seed=data.draw(st.integers(0, 9))
            )
        both = data.draw(st.permutations([FIRST, SECOND]))
        out = home / "out"
        out.mkdir()
        spec = DeriveSpec(dataset=both[0], name="both", merge=both[1:])
        with mock.patch("core.stages.derive.write_previews"):
            run_stage(spec, StagePaths(Artifacts(home), home, out), NullRecorder())
        new = Dataset.open(out)
        assert not _frames(new, new.train) & _frames(new, new.validation)


def test_an_episode_that_another_dataset_holds_in_part_is_left_out_and_reported(
    home: Path, derive: Callable[..., Dataset]
) -> None:
    cut = derive(cuts={0: [3]})
    place = Artifacts(home).dataset(SMALL)
    place.parent.mkdir(parents=True)
    cut.path.rename(place)
    new = derive(merge=[SMALL])
    assert len(new.episodes) == 8
    found = json.loads((new.path / "report.json").read_text())["findings"]
    assert {f["code"] for f in found} == {"duplicate"}
    assert "shares 2 of its 2 moving steps with episodes of another dataset" in found[0]["message"]


def _frames(dataset: Dataset, episodes: Sequence[EpisodeInfo]) -> set[bytes]:
    return {
        dataset.frames[t].tobytes() for e in episodes for t in range(e.start, e.start + e.length)
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"side": 8}, r"image_size is \(16, 16\) in one"), ({"kind": "absolute"}, "action_kind")],
)
def test_unlike_datasets_are_not_merged(
    home: Path, derive: Callable[..., Dataset], changes: dict[str, Any], words: str
) -> None:
    write(home, SMALL, range(20, 23), **changes)
    with pytest.raises(ValueError, match=words):
        derive(merge=[SMALL])


def test_an_episode_is_cut_where_asked(home: Path, derive: Callable[..., Dataset]) -> None:
    old, new = Dataset.open(Artifacts(home).dataset(FIRST)), derive(cuts={"3": [4]})
    assert [e.length for e in new.episodes][3:5] == [4, 5]
    assert new.episodes[3].source == "ep_3, frames 0 to 3"
    assert new.episodes[3].split == new.episodes[4].split == old.episodes[3].split
    joined = np.concatenate([new.frames[rows(new, 3)], new.frames[rows(new, 4)]])
    assert (joined == old.frames[rows(old, 3)]).all()
    actions = old.actions[rows(old, 3)]
    assert (new.actions[rows(new, 3)][:-1] == actions[:3]).all()
    assert not new.actions[rows(new, 3)][-1].any()
    with pytest.raises(ValueError, match=r"episode 3 has 9 frames and cannot be cut at \[8\]"):
        derive(cuts={"3": [8]})


def test_tags_and_labels_are_those_that_were_given(derive: Callable[..., Dataset]) -> None:
    new = derive(tags={"1": ["good", "slow"]}, success={"0": -1, "1": None, "2": 3})
    assert [e.tags for e in new.episodes[:3]] == [("raw",), ("good", "slow"), ("raw",)]
    assert new.success is not None
    assert new.success[rows(new, 0)].tolist() == [0] * 5 + [1]
    assert not new.success[rows(new, 1)].any()
    assert new.success[rows(new, 2)].tolist() == [0] * 3 + [1] * 5
    assert (new.success[rows(new, 3)] == episode(3, 9, 16).success).all()
    with pytest.raises(ValueError, match="said to start at frame 99"):
        derive(success={"0": 99})


def test_goals_are_told_by_their_new_place(derive: Callable[..., Dataset]) -> None:
    new = derive(drop=[0], cuts={"3": [4]}, goals=["3:-1", "2:1"])
    assert new.meta.goals == (GoalFrame(episode=3, frame=4), GoalFrame(episode=1, frame=1))
    with pytest.raises(ValueError, match="goal 0:-1 is not among the frames that are kept"):
        derive(drop=[0], goals=["0"])


def test_what_does_not_exist_or_leaves_too_little_is_refused(
    derive: Callable[..., Dataset],
) -> None:
    with pytest.raises(ValueError, match="there is no episode 8: they are 0 to 7"):
        derive(drop=[8])
    with pytest.raises(ValueError, match=r"1 episode\(s\) are left"):
        derive(keep=[1])
    with pytest.raises(UnknownArtifact):
        derive(merge=["ds_99999999"])


def test_a_stop_is_heard_between_episodes(derive: Callable[..., Dataset]) -> None:
    with pytest.raises(Cancelled):
        derive(ListRecorder(cancel_after=2))


@given(st.data())
def test_any_cuts_put_back_together_give_the_episode(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = write(Path(folder), FIRST, range(2))
        length = dataset.episodes[1].length
        edges = data.draw(st.lists(st.integers(2, length - 2), unique=True, max_size=3))
        if any(abs(a - b) < 2 for a in edges for b in edges if a != b):
            return
        spec = DeriveSpec(dataset=FIRST, name="a", cuts={1: tuple(edges)})
        made = [p for p in parts([dataset], spec) if p.n == 1]
        found = [episode_of(p, tuple(dataset.fields()), spec) for p in made]
        assert sum(len(e) for e in found) == length
        assert (np.concatenate([e.frames for e in found]) == dataset.frames[rows(dataset, 1)]).all()
