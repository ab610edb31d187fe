"""The export stage: a dataset or imagined rollouts as LeRobot v3.0."""

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from core.artifacts import Artifacts, StagePaths, UnknownArtifact
from core.data.export_lerobot import IMAGINED, REAL
from core.data.imagined import ImaginedEpisode
from core.data.readers import detect, open_logs
from core.data.writer import DatasetWriter
from core.jobs.spec import ExportSpec
from core.recorder import Cancelled, NullRecorder, Recorder
from core.stages import run_stage
from tests.data.lerobot_makers import coded, numbers_of
from tests.data.makers import ListRecorder, episode

ROLLOUT, DATASET = "ro_00000000", "ds_00000000"


def imagined(first: int, steps: int) -> ImaginedEpisode:
    rng = np.random.default_rng(first)
    return ImaginedEpisode(
        real=np.stack([coded(first + i) for i in range(steps + 1)]),
        imagined=np.stack([coded(2048 + first + i) for i in range(steps + 1)]),
        actions=rng.normal(size=(steps, 2)).astype(np.float32),
        reward=rng.normal(size=steps).astype(np.float32),
    )


EPISODES = [imagined(1, 6), imagined(50, 9), imagined(90, 4)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation with one dataset and one artifact of rollouts."""
    folder = Artifacts(tmp_path).rollout(ROLLOUT)
    folder.mkdir(parents=True)
    kinds = ("replay", "replay", "policy")
    items = [{"n": n, "kind": k} for n, k in enumerate(kinds)]
    (folder / "rollout.json").write_text(json.dumps({"fps": 10.0, "items": items}))
    for n, one in enumerate(EPISODES):
        one.save(folder / f"{n}.npz")
    with DatasetWriter(Artifacts(tmp_path).dataset(DATASET)) as writer:
        for n in range(3):
            writer.append(episode(n, 6, 16))
        writer.finish(name="logs", fps=10, action_kind="delta")
    return tmp_path


def export(home: Path, recorder: Recorder | None = None, **fields: object) -> Path:
    out = home / "out"
    out.mkdir()
    spec = ExportSpec.model_validate(fields)
    result = run_stage(spec, StagePaths(Artifacts(home), home, out), recorder or NullRecorder())
    files = [p for p in (out / "lerobot").rglob("*") if p.is_file()]
    assert (result["files"], result["bytes"]) == (
        len(files),
        sum(p.stat().st_size for p in files),
    )
    return out / "lerobot"


def test_a_dataset_is_exported(home: Path) -> None:
    found = detect(export(home, source=DATASET))
    assert (found.layout, found.episodes, found.action_kind) == ("lerobot v3.0", 3, "delta")


def test_imagined_and_real_frames_stand_side_by_side(home: Path) -> None:
    root = export(home, source=ROLLOUT)
    for camera, offset in ((IMAGINED, 2048), (REAL, 0)):
        with closing(open_logs(root, mapping={"image": camera})) as reader:
            assert len(reader.episodes) == len(EPISODES)
            for ref, one, first in zip(reader.episodes, EPISODES, (1, 50, 90), strict=True):
                with reader.open(ref) as fields:
                    shown = numbers_of(fields["image"].read())
                    assert shown == [offset + first + i for i in range(len(one.actions) + 1)]
                    assert (fields["action"].read()[:-1] == one.actions).all()
                    assert (fields["reward"].read()[:-1] == one.reward).all()
    tasks = {t for e in (root / "meta").rglob("file-000.parquet") for t in _tasks(e)}
    assert tasks == {"imagined: the logged actions", "imagined: the policy acts"}


def _tasks(path: Path) -> list[str]:
    return [t for row in pq.read_table(path)["tasks"].to_pylist() for t in row]


def test_rollouts_without_frames_ask_to_be_imagined_again(home: Path) -> None:
    (Artifacts(home).rollout(ROLLOUT) / "1.npz").unlink()
    with pytest.raises(ValueError, match="imagine them again"):
        export(home, source=ROLLOUT)


def test_a_source_that_is_not_there_is_named(home: Path) -> None:
    with pytest.raises(UnknownArtifact, match="ds_99999999"):
        export(home, source="ds_99999999")


def test_cancel_stops_between_episodes(home: Path) -> None:
    with pytest.raises(Cancelled):
        export(home, ListRecorder(cancel_after=1), source=DATASET)
