"""`foglab run-policy` on folders, zips and ids."""

import json
import shutil
from pathlib import Path

import pytest

from core.data.video import read_mp4
from foglab.client import ServiceClient
from tests.api import makers
from tests.api.conftest import Service
from tests.foglab.test_cli import _no_other_service, foglab  # noqa: F401

ROBOT = """
import gymnasium as gym, numpy as np
class Robot(gym.Env):
    observation_space = gym.spaces.Box(0, 255, (24, 24, 3), np.uint8)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros((24, 24, 3), np.uint8), {}
    def step(self, action):
        self.steps += 1
        return np.zeros((24, 24, 3), np.uint8), 0.5, False, self.steps == 4, {"is_success": True}
"""


@pytest.fixture
def robot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_robot_file.py").write_text(ROBOT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "my_robot_file:Robot"


@pytest.mark.slow
def test_an_export_runs_in_an_environment_of_ones_own(
    exported_policy: Path, robot: str, tmp_path: Path
) -> None:
    video = tmp_path / "a.mp4"
    words = ("run-policy", str(exported_policy), "--env", robot, "--episodes", "2")
    told = json.loads(foglab(*words, "--json", "--video", str(video)).stdout)
    assert (told["format"], told["mean_return"], told["success"]) == ("onnx", 2.0, 1.0)
    assert told["steps"] == [4, 4]
    assert len(read_mp4(video)) == 5
    printed = foglab(*words, "--format", "torch").output
    assert "100 %" in printed
    wrong = foglab("run-policy", str(exported_policy), "--env", "push_disc", status=1)
    assert "the policy's actions are 1 numbers" in wrong.stderr


@pytest.mark.slow
def test_a_zip_and_an_id_are_the_same_policy(
    exported_policy: Path, robot: str, tmp_path: Path, service: Service, client: ServiceClient
) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    model = makers.model(service.store, service.artifacts, dataset)
    job = client.export_policy(makers.policy(service.store, dataset, model))
    makers.keep_export(service.store, service.artifacts, job.id, exported_policy)
    assert job.output_id is not None
    path = client.download_export(job.output_id, tmp_path / "policy.zip")
    for source in (str(path), job.output_id):
        words = ("run-policy", source, "--env", robot, "--episodes", "1", "--json")
        assert json.loads(foglab(*words, service=service).stdout)["returns"] == [2.0]


def test_a_policy_runs_by_its_own_id(robot: str, tmp_path: Path, service: Service) -> None:
    from tests.stages.policy_maker import POLICY, make_policy

    make_policy(tmp_path / "made")
    dataset = makers.dataset(service.store, service.artifacts)
    model = makers.model(service.store, service.artifacts, dataset)
    policy = makers.policy(service.store, dataset, model)
    shutil.copytree(tmp_path / "made/models" / POLICY, service.artifacts.model(policy))
    words = ("run-policy", policy, "--env", robot, "--episodes", "1", "--json")
    told = foglab(*words, service=service)
    assert json.loads(told.stdout)["format"] == "policy"
    assert "ds_00000000 is gone" in told.stderr


def test_what_is_no_policy_is_refused(tmp_path: Path, robot: str) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip")
    for source, reason in (
        ("a.zip", "not a zip"),
        ("b", "no folder, no zip"),
        (".", "config.json"),
    ):
        refused = foglab("run-policy", source, "--env", robot, status=1)
        assert reason in refused.stderr
