"""`make lerobot-check`: exports before judges that are not ours, lerobot-doctor and Rerun, from an
environment of their own."""

import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from core.artifacts import Artifacts, StagePaths
from core.data.dataset import Dataset
from core.data.export_lerobot import CAMERA, IMAGINED, REAL
from core.data.imagined import ImaginedEpisode
from core.data.lerobot_layout import Pictures
from core.envs.logs import make_logs
from core.jobs.spec import ExportSpec
from core.recorder import NullRecorder
from core.stages import run_stage
from core.stages.export import FOLDER
from tests.data.makers import ingest

DATASET, ROLLOUT = "ds_00000000", "ro_00000000"
EPISODES, CHECKS = 12, 11
NUMBERS = {"action", "next.reward", "task"}
ENTITIES = {
    DATASET: {*NUMBERS, "observation.state", CAMERA},
    ROLLOUT: {*NUMBERS, IMAGINED, REAL},
}
"""What Rerun shows of each row; columns of type bool it does not."""
_SHOWN = "Scalars|TextDocument|VideoStream:sample|EncodedImage"
_ROWS = re.compile(rf"with (\d+) rows .* - /(\S+) - data columns: \[(?:{_SHOWN})")
_LOAD = """
import sys, rerun
rerun.init("check")
rerun.save(sys.argv[2])
rerun.log_file_from_path(sys.argv[1])
rerun.get_global_data_recording().flush()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Play in a simulator, 96 x 96 pixels, and what might have been imagined of it."""
    home = tmp_path_factory.mktemp("home")
    path, _ = ingest(home, lambda p: make_logs("push_disc", EPISODES, p, image_size=96))
    stored = Artifacts(home).dataset(DATASET)
    stored.parent.mkdir(parents=True)
    path.rename(stored)
    dataset = Dataset.open(stored)
    folder = Artifacts(home).rollout(ROLLOUT)
    folder.mkdir(parents=True)
    for n, episode in enumerate(dataset.episodes):
        rows = slice(episode.start, episode.start + episode.length)
        fields = {f: np.array(v[rows]) for f, v in dataset.fields().items()}
        frames, actions, reward = fields["frames"], fields["actions"][:-1], fields["reward"][:-1]
        ImaginedEpisode(frames, frames, actions, reward).save(folder / f"{n}.npz")
    items = [{"n": n, "kind": "replay"} for n in range(EPISODES)]
    (folder / "rollout.json").write_text(json.dumps({"fps": 10.0, "items": items}))
    return home


@pytest.fixture(params=[(DATASET, p) for p in get_args(Pictures)] + [(ROLLOUT, "h264")])
def spec(request: pytest.FixtureRequest) -> ExportSpec:
    source, pictures = request.param
    return ExportSpec(source=source, pictures=pictures)


@pytest.fixture
def export(spec: ExportSpec, home: Path, tmp_path: Path) -> Path:
    """The folder of an export."""
    run_stage(spec, StagePaths(Artifacts(home), tmp_path, tmp_path), NullRecorder())
    return tmp_path / FOLDER


def output(*command: str | Path) -> str:
    """What a program of the other environment prints; `CalledProcessError` if it fails."""
    name, *arguments = command
    path = Path(os.environ["LEROBOT_TOOLS"]) / name
    return subprocess.run([path, *arguments], check=True, capture_output=True, text=True).stdout


def test_lerobot_doctor_finds_no_failure(export: Path) -> None:
    told = json.loads(output("lerobot-doctor", "check", "--json", export))
    found = {c["name"]: c["severity"] for c in told["checks"]}
    assert len(found) == CHECKS, found
    assert set(found.values()) <= {"PASS", "WARN"}, told
    assert told["total_episodes"] == EPISODES


def test_rerun_shows_every_row(spec: ExportSpec, export: Path, tmp_path: Path) -> None:
    recording = tmp_path / "all.rrd"
    output("python", "-c", _LOAD, export, recording)
    told = output("rerun", "rrd", "print", recording)
    assert set(re.findall(r'"(episode_\d+)"', told)) == {f"episode_{n}" for n in range(EPISODES)}
    rows: Counter[str] = Counter()
    for count, entity in _ROWS.findall(told):
        rows[entity] += int(count)
    frames = json.loads((export / "meta/info.json").read_bytes())["total_frames"]
    assert rows == dict.fromkeys(ENTITIES[spec.source], frames)
