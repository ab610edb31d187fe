"""The learning stages, one after the other, as plain functions on files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.artifacts import Artifacts, StagePaths, UnknownArtifact
from core.data.imagined import ImaginedEpisode
from core.data.video import read_mp4
from core.global_model.model import GlobalModel
from core.jobs.spec import EvaluateSpec, RolloutSpec, Spec
from core.local_model.model import LocalModel
from core.recorder import NullRecorder
from core.stages import run_stage
from tests.training.makers import bar_dataset, global_spec, local_spec, policy_spec

DATASET, GLOBAL, LOCAL, POLICY = "ds_00000000", "gm_00000000", "lm_00000000", "pi_00000000"


class Line:
    """Runs stages into one folder tree."""

    def __init__(self, root: Path) -> None:
        self.artifacts = Artifacts(root)
        self.results: dict[str, dict[str, Any]] = {}

    def run(self, spec: Spec, out: Path) -> dict[str, Any]:
        out.mkdir(parents=True)
        checkpoints = self.artifacts.root / "checkpoints" / out.name
        paths = StagePaths(self.artifacts, checkpoints, out)
        return run_stage(spec, paths, NullRecorder())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    line = Line(tmp_path_factory.mktemp("line"))
    bar_dataset(line.artifacts.dataset(DATASET))
    for name, spec in ((GLOBAL, global_spec()), (LOCAL, local_spec()), (POLICY, policy_spec())):
        line.results[name] = line.run(spec, line.artifacts.model(name))
    return line


def test_models_are_folders_of_json_and_safetensors(line: Line) -> None:
    for name in (GLOBAL, LOCAL, POLICY):
        files = [p for p in line.artifacts.model(name).rglob("*") if p.is_file()]
        assert {p.suffix for p in files} == {".json", ".safetensors"}
    assert line.results[POLICY]["imagined_frames"] == 4 * 6 * 4


def test_evaluation_without_a_simulator_has_figures_of_imagination_alone(line: Line) -> None:
    spec = EvaluateSpec(dataset=DATASET, global_model=GLOBAL, policy=POLICY, horizon=10)
    found = line.run(spec, line.artifacts.evaluation("ev_00000000"))
    assert {"psnr_1", "psnr_5", "psnr_10", "static_psnr_10", "imagined_return"} <= found.keys()
    assert "real_success" not in found
    assert len(found["psnr"]) == len(found["action_gain_by_step"]) == 10
    assert sum(found["reward_calibration"]["counts"]) == 128 * 10
    assert found["reward_calibration_error"] >= 0
    low, high = found["imagined_return_interval"]
    assert low <= found["imagined_return"] <= high


def test_rollouts_start_where_the_real_episode_does(line: Line) -> None:
    out = line.artifacts.rollout("ro_00000000")
    spec = RolloutSpec(
        dataset=DATASET, global_model=GLOBAL, local_model=LOCAL, episodes=1, horizon=8
    )
    found = line.run(spec, out)
    item = json.loads((out / "rollout.json").read_text())["items"][0]
    which = ("real", "imagined", "dream", "difference")
    real, imagined, dreamed, difference = (read_mp4(out / item[w]) for w in which)
    assert real.shape == imagined.shape == dreamed.shape == difference.shape
    assert len(real) == 9
    assert found["mean_psnr_dream"] == pytest.approx(np.mean(item["psnr_dream"]))
    assert difference[0].std() < difference[1:].std(), "nothing differs in the common frame"
    assert (
        abs(real[0].astype(int) - imagined[0].astype(int)).max() <= 8
    )  # same frame, encoded twice
    for name in (
        "psnr",
        "static_psnr",
        "psnr_dream",
        "reward_real",
        "reward_imagined",
        "reward_dream",
    ):
        assert len(item[name]) == 8
    kept = ImaginedEpisode.load(out / "0.npz")
    assert kept.imagined.shape == kept.real.shape == (9, *kept.real.shape[1:])
    assert (kept.imagined[0] == kept.real[0]).all()
    assert (len(kept.actions), kept.reward.tolist()) == (8, item["reward_imagined"])


@pytest.mark.parametrize(
    ("kind", "name", "spec"),
    [(GlobalModel, GLOBAL, global_spec), (LocalModel, LOCAL, local_spec)],
)
def test_training_goes_on_from_a_model(
    kind: type[GlobalModel | LocalModel],
    name: str,
    spec: Callable[..., Spec],
    line: Line,
    tmp_path: Path,
) -> None:
    """A step at a rate of next to nothing leaves it as it was, also on other logs."""
    other = "ds_11111111"
    if not line.artifacts.dataset(other).exists():
        bar_dataset(line.artifacts.dataset(other), episodes=5, length=20)
    still = {"steps": 1, "learning_rate": 1e-12}
    asked = spec(dataset=other, start_from=name, **still)
    if kind is GlobalModel:
        asked = asked.model_copy(update={"reward_steps": 0})
    line.run(asked, tmp_path / "out")
    before = kind.load(line.artifacts.model(name)).state_dict()
    after = kind.load(tmp_path / "out").state_dict()
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, rtol=0, atol=1e-6)
    line.run(spec(dataset=other, **still), tmp_path / "anew")
    anew = kind.load(tmp_path / "anew").state_dict()
    assert any((anew[key] - value).abs().max() > 1e-2 for key, value in before.items())


def test_training_cannot_go_on_from_a_model_of_other_sizes(line: Line, tmp_path: Path) -> None:
    wide = local_spec(start_from=LOCAL, deter=48)
    with pytest.raises(ValueError, match=r"lm_00000000, which is of other sizes: deter is .* 48"):
        line.run(wide, tmp_path / "out")


def test_a_missing_input_is_named(line: Line, tmp_path: Path) -> None:
    with pytest.raises(UnknownArtifact, match="ds_99999999"):
        line.run(global_spec(dataset="ds_99999999"), tmp_path / "out")


def test_a_context_longer_than_the_episodes_is_refused_with_a_way_out(
    line: Line, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="use shorter windows or longer episodes"):
        line.run(global_spec(context=16), tmp_path / "out")
