"""Rewards through the stages: learned, reported, used as labels, never mixed up."""

from pathlib import Path

import pytest

from core.artifacts import Artifacts, StagePaths
from core.jobs.spec import Spec
from core.local_model.model import LocalModel
from core.recorder import NullRecorder
from core.stages import run_stage
from tests.training.makers import global_spec, local_spec, passing_bar_dataset, policy_spec

DATASET, RANKED, SECOND = "ds_00000000", "gm_00000000", "gm_00000001"


def run(spec: Spec, artifacts: Artifacts, model: str) -> dict[str, object]:
    """A stage as a job runs it: its artifact ends with the spec beside it."""
    out = artifacts.model(model)
    out.mkdir(parents=True)
    paths = StagePaths(artifacts, artifacts.root / "checkpoints" / model, out)
    result = run_stage(spec, paths, NullRecorder())  # type: ignore[arg-type]
    (out / "spec.json").write_text(spec.model_dump_json())
    return result


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    found = Artifacts(tmp_path_factory.mktemp("home"))
    passing_bar_dataset(found.dataset(DATASET), episodes=12)
    return found


def ranking_spec(**changes: object) -> Spec:
    return global_spec(reward="ranking", goals=["0:-1"], goal_horizon=8, **changes)


@pytest.fixture(scope="module")
def report(artifacts: Artifacts) -> dict[str, object]:
    return run(ranking_spec(), artifacts, RANKED)


def test_result_says_how_the_reward_ranks_held_out_frames(report: dict[str, object]) -> None:
    for name in ("reward_vs_logged", "reward_vs_logged_per_episode", "reward_vs_time_per_episode"):
        value, (low, high) = report[name], report[f"{name}_interval"]  # type: ignore[misc]
        assert -1 <= low <= value <= high <= 1  # type: ignore[operator]
    assert "reward_vs_progress" not in report, "this world is not a known task"


def test_local_model_learns_the_labels_of_the_global_one(
    artifacts: Artifacts, report: dict[str, object]
) -> None:
    run(local_spec(global_model=RANKED), artifacts, "lm_00000000")
    local = LocalModel.load(artifacts.model("lm_00000000"))
    assert local.reward_mean < 0, "distances to a goal count below zero, logged rewards above"
    run(policy_spec(local_model="lm_00000000"), artifacts, "pi_00000000")


def test_models_of_different_rewards_do_not_go_together(
    artifacts: Artifacts, report: dict[str, object]
) -> None:
    run(local_spec(), artifacts, "lm_00000001")
    with pytest.raises(ValueError, match=f"logged rewards.*train a local model.*{RANKED}"):
        run(policy_spec(local_model="lm_00000001"), artifacts, "pi_00000001")
    run(ranking_spec(seed=1), artifacts, SECOND)
    run(local_spec(global_model=SECOND), artifacts, "lm_00000002")
    with pytest.raises(ValueError, match=f"reward of global model {SECOND}"):
        run(policy_spec(local_model="lm_00000002"), artifacts, "pi_00000002")


def test_without_rewards_a_local_model_asks_for_a_global_one(tmp_path: Path) -> None:
    bare = Artifacts(tmp_path)
    passing_bar_dataset(bare.dataset(DATASET), episodes=4, rewarded=False)
    with pytest.raises(ValueError, match="set global_model to the global model"):
        run(local_spec(), bare, "lm_00000000")
