"""The policy export stage: three formats that act as the original does, samples that run."""

import json
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.artifacts import Artifacts, UnknownArtifact
from core.data.dataset import Dataset
from core.evaluation.success import LearnedBatch
from core.local_model.model import LocalModel
from core.policy import formats
from core.policy.parity import real_frames
from core.policy.runners import FILES, OPENERS, open_export
from core.policy.step import PolicyStep
from core.recorder import Cancelled
from tests.data.makers import ListRecorder
from tests.stages.policy_maker import DATASET, POLICY, eager_actor, export, make_policy
from tests.training.makers import local_model

FORMATS = tuple(FILES)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    make_policy(home)
    return home


@pytest.fixture(scope="module")
def exported(home: Path, exported_policy: Path) -> Path:
    return exported_policy


def test_every_format_is_within_the_bound_on_real_frames(exported: Path) -> None:
    report = json.loads((exported / "parity.json").read_text())
    assert report["max_action_difference"] <= report["tolerance"] == 1e-5
    assert (report["frames"], report["batch_sizes"]) == (100, [1, 7, 32])
    assert set(report["formats"]) == set(FORMATS)
    for by_batch in report["formats"].values():
        assert set(by_batch) == {"1", "7", "32"}


@pytest.mark.parametrize("sample", [False, True])
def test_a_step_is_what_evaluation_does_in_float32(home: Path, sample: bool) -> None:
    """`LearnedBatch` is the policy as evaluation and the act route run it."""
    folder = Artifacts(home).model(POLICY)
    local = LocalModel.load(folder / "local")
    step = PolicyStep.of_folder(folder)
    slow = LearnedBatch(eager_actor(), type(local)(step.config.local).eval(), sample=sample)
    slow.local.load_state_dict(local.state_dict())
    frames, _ = real_frames(Dataset.open(Artifacts(home).dataset(DATASET)))
    slow.reset(2, 0)
    rng = np.random.default_rng(0)
    state = step.initial(2)
    acted = []
    for t in range(20):
        pair = frames[[t, t + 20]]
        noise = torch.from_numpy(sample * rng.normal(size=(2, 1))).float()
        with torch.no_grad():
            action, state = step(torch.from_numpy(pair), state, torch.tensor([t == 0] * 2), noise)
        np.testing.assert_array_equal(action.numpy(), slow.act([{"pixels": f} for f in pair]))
        acted.append(action.numpy())
    assert np.std(acted) > 0.01  # it acts on what it sees


@pytest.mark.parametrize("format", FORMATS)
def test_a_reset_forgets_one_episode_and_no_other(exported: Path, format: str) -> None:
    runner = open_export(exported, format)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, 16, 16, 3), dtype=np.uint8)
    state = runner.initial(3)
    quiet = runner.noise(3)
    _, state = runner.step(images[0], state, np.ones(3, bool), quiet)
    one = np.array([False, True, False])
    some, _ = runner.step(images[1], state, one, quiet)
    none, _ = runner.step(images[1], state, np.zeros(3, bool), quiet)
    fresh, _ = runner.step(images[1], runner.initial(3), np.ones(3, bool), quiet)
    np.testing.assert_allclose(some[1], fresh[1], atol=1e-6)
    np.testing.assert_allclose(some[[0, 2]], none[[0, 2]], atol=1e-6)
    assert abs(some[1] - none[1]).max() > 1e-4


@pytest.mark.parametrize("format", FORMATS)
def test_noise_moves_the_action_by_the_policys_own_deviation(exported: Path, format: str) -> None:
    runner = open_export(exported, format)
    image = np.full((3, 16, 16, 3), 90, np.uint8)
    noise = np.array([[0], [1], [-1]], np.float32)
    action, memory = runner.step(image, runner.initial(3), np.ones(3, bool), noise)
    state, last = memory[:, :-1], memory[:, -1:]
    with torch.no_grad():
        policy = eager_actor()(torch.from_numpy(state[:1]))
    expected = torch.tanh(policy.mean + policy.std * torch.from_numpy(noise))
    np.testing.assert_allclose(action, expected, atol=1e-5)
    np.testing.assert_array_equal(last, action)  # what was done is remembered, not what was meant
    assert policy.std.min() > 0.01


def test_an_export_without_noise_is_to_be_made_again(exported: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(exported, old)
    config = json.loads((old / "config.json").read_text())
    del config["inputs"]["noise"]
    (old / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="export it again"):
        open_export(old)


@pytest.mark.parametrize("format", ["torch", "safetensors"])
def test_samples_have_ten_lines_and_run(
    exported: Path, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = exported / f"sample_{format}.py"
    assert len(sample.read_text().splitlines()) <= 10
    runpy.run_path(str(sample))
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert sample.read_text() in (exported / "README.md").read_text()


def test_the_onnx_sample_needs_no_torch(exported: Path, tmp_path: Path) -> None:
    sample = exported / "sample_onnx.py"
    assert len(sample.read_text().splitlines()) <= 10
    code = f"import runpy, sys; runpy.run_path({str(sample)!r}); assert 'torch' not in sys.modules"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == 3


def test_weights_are_those_that_acting_needs(exported: Path, home: Path) -> None:
    whole = (Artifacts(home).model(POLICY) / "local/model.safetensors").stat().st_size
    assert (exported / "model.safetensors").stat().st_size < whole
    with zipfile.ZipFile(exported / "policy.pt2") as program:
        told = program.infolist()
        assert not [
            i.filename for i in told if i.filename.endswith((".pt", ".pkl")) and i.file_size
        ]
        config = program.read("policy/data/weights/model_weights_config.json")
    assert b'"use_pickle": true' not in config


def test_an_export_that_differs_fails(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(step: PolicyStep, folder: Path) -> None:
        other = PolicyStep.of(eager_actor(), local_model())
        with torch.no_grad():
            other.actor.net[-1].bias.add_(1e-3)
        other.save(folder)

    monkeypatch.setitem(formats.WRITERS, "safetensors", spoilt)
    with pytest.raises(ValueError, match="actions differ from the policy's by"):
        export(home, tmp_path / "out", formats=["safetensors"])
    told = export(home, tmp_path / "other", formats=["safetensors"], tolerance=0.1)
    assert 1e-5 < _number(told["max_action_difference"]) < 0.1


def test_missing_inputs_are_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownArtifact, match="pi_99999999"):
        export(home, tmp_path / "a", policy="pi_99999999")
    with pytest.raises(UnknownArtifact, match="ds_99999999"):
        export(home, tmp_path / "b", dataset="ds_99999999")


def test_cancel_stops_before_the_next_format(home: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        export(home, tmp_path / "out", ListRecorder(cancel_after=0), formats=["safetensors"])


def test_a_folder_that_is_no_export_is_named(tmp_path: Path, exported: Path) -> None:
    with pytest.raises(ValueError, match=r"no config\.json"):
        open_export(tmp_path)
    with pytest.raises(ValueError, match="holds onnx, torch, safetensors, not tflite"):
        open_export(exported, "tflite")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="none of onnx"):
        open_export(tmp_path)
    assert set(OPENERS) == set(formats.WRITERS) == set(FILES)


def _number(value: Any) -> float:
    assert isinstance(value, float)
    return value
