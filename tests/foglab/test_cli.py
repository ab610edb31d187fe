"""Commands against a running service: what they print, and how they fail."""

import json
import re
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from core.data.readers import detect
from core.data.video import read_mp4
from core.envs.logs import make_logs
from core.jobs.environment import Environment
from core.jobs.migrate import upgrade
from core.jobs.spec import Kind
from core.jobs.store import Store
from foglab.cli import app
from foglab.client import ServiceClient
from foglab.listing import RESOURCES
from foglab.training import values
from tests.api import makers
from tests.api.conftest import Service


@pytest.fixture(autouse=True)
def _no_other_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FOGLAB_URL", "FOGLAB_TOKEN", "FOGLAB_DATABASE_URL", "FOGLAB_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FOGLAB_HOME", str(tmp_path / "home"))


def foglab(*words: str, service: Service | None = None, status: int = 0) -> Result:
    place = ["--url", service.url, "--token", service.token] if service else []
    result = CliRunner().invoke(app, [*place, *words])
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


def test_job_is_submitted_listed_and_cancelled(service: Service, client: ServiceClient) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    train = ("train", "global", "--dataset", dataset, "--preset", "smoke", "--set", "steps=7")
    printed = foglab(*train, "--name", "mine", service=service).output
    found = re.search(r"job_[0-9a-f]{16}", printed)
    assert found is not None
    assert client.job(found[0]).spec["steps"] == 7
    assert found[0] in foglab("jobs", "--status", "queued", service=service).output
    assert "cancelled" in foglab("cancel", found[0], service=service).output
    assert "mine" in foglab("watch", found[0], service=service, status=1).output
    assert foglab("log", found[0], service=service).output.strip() == ""


def test_upload_prints_id_and_hash(service: Service, tmp_path: Path) -> None:
    np.savez(tmp_path / "logs.npz", action=np.zeros(3))
    printed = foglab("upload", str(tmp_path / "logs.npz"), service=service).output
    assert re.search(r"up_[0-9a-f]{32}  \d+ bytes  sha256 [0-9a-f]{64}", printed)


def test_results_are_listed_and_exported(service: Service, tmp_path: Path) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    model = makers.model(service.store, service.artifacts, dataset)
    assert dataset in foglab("datasets", service=service).output
    assert '"dropped"' in foglab("datasets", dataset, service=service).output
    assert model in foglab("models", service=service).output
    target = tmp_path / "model.zip"
    foglab("download", model, "--output", str(target), service=service)
    assert target.stat().st_size > 1000


def found(*words: str, service: Service, once: bool = False) -> Any:
    """What a command prints as JSON, wherever `--json` stands; `once` for what is not repeatable."""
    first = json.loads(foglab("--json", *words, service=service).stdout)
    if once:
        return first
    assert json.loads(foglab(*words, "--json", service=service).stdout) == first
    return first


def test_everything_is_listed_and_shown_as_json(service: Service) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    model = makers.model(service.store, service.artifacts, dataset)
    made = {
        "datasets": dataset,
        "models": model,
        "rollouts": makers.rollout(service.store, service.artifacts, dataset, model),
        "evaluations": makers.evaluation(service.store, dataset, model),
        "jobs": service.store.list_jobs(limit=1)[0].id,
    }
    for resource in RESOURCES:
        listed = found(resource.name, "--limit", "1", service=service)
        if resource.name not in made:
            assert isinstance(listed, list)
            continue
        identifier = made[resource.name]
        assert [one["id"] for one in listed] == [identifier]
        assert found(resource.name, identifier, service=service)["id"] == identifier
        assert identifier in foglab(resource.name, service=service).output
    assert found("models", "--kind", "policy", "--limit", "1", service=service) != [model]


def test_jobs_are_compared_where_they_differ(service: Service, client: ServiceClient) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    one, two = (client.submit("local_model", {"dataset": dataset, "steps": n}) for n in (5, 6))
    told = found("compare", one.id, two.id, service=service)
    assert told == {"jobs": [one.id, two.id], "spec": {"steps": [5, 6]}, "result": {}}
    assert "steps" in foglab("compare", one.id, two.id, service=service).output


def test_lineage_leads_back_to_the_logs(service: Service) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    model = makers.model(service.store, service.artifacts, dataset)
    assert [i["id"] for i in found("lineage", model, service=service)][1:] == [dataset, model]
    shown = foglab("lineage", model, service=service).output
    assert shown.index(model) < shown.index(dataset) < shown.index("up_")


def test_what_is_deleted_is_named_and_asked_for(service: Service) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    model = makers.model(service.store, service.artifacts, dataset)
    assert model in foglab("delete", dataset, "--yes", service=service, status=1).output
    asked = foglab("delete", dataset, "--with-products", service=service, status=1)
    assert model in asked.output
    assert "Delete for good?" in asked.output
    told = found("delete", model, "--yes", service=service, once=True)
    assert told == {"deleted": [model]}
    assert "is deleted" in foglab("delete", dataset, "-y", service=service).output
    assert dataset not in foglab("datasets", service=service).output


def test_a_finished_upload_is_listed_and_deleted(service: Service, tmp_path: Path) -> None:
    logs = tmp_path / "old logs.zip"
    logs.write_bytes(b"not needed any more")
    with ServiceClient(service.url, service.token) as client:
        upload = client.upload(logs).id
    assert "old logs.zip" in foglab("uploads", service=service).output
    asked = foglab("delete", upload, service=service, status=1)
    assert "its datasets stay" in asked.output
    assert found("delete", upload, "--yes", service=service, once=True) == {"deleted": [upload]}
    assert upload not in foglab("uploads", service=service).output


def test_metrics_are_shown_by_their_last_value(service: Service) -> None:
    job, folder = makers.running(service.store, service.artifacts)
    lines = [{"step": n, "time": 0.0, "values": {"global/loss": 1 / n}} for n in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [m["step"] for m in found("metrics", job.id, service=service)] == [1, 2]
    assert re.search(r"global/loss +2 +0.5", foglab("metrics", job.id, service=service).output)


def test_videos_of_a_rollout_are_fetched(service: Service, tmp_path: Path) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    model = makers.model(service.store, service.artifacts, dataset)
    rollout = makers.rollout(service.store, service.artifacts, dataset, model)
    foglab("download", rollout, "-o", str(tmp_path / "videos"), service=service)
    assert len(read_mp4(tmp_path / "videos/0.mp4")) == 5
    refused = foglab("download", dataset, service=service, status=1)
    assert "dataset export" in refused.stderr


def test_long_lists_are_read_page_by_page(
    service: Service, client: ServiceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        makers.dataset(service.store, service.artifacts)
    whole = [d.id for d in client.datasets()]
    monkeypatch.setattr("foglab.calls.base.PAGE", 2)
    assert [d.id for d in client.datasets(limit=3)] == whole[:3]
    assert [d.id for d in client.datasets(limit=500)] == whole


def test_a_dataset_is_exported_and_downloaded(service: Service, tmp_path: Path) -> None:
    dataset = makers.dataset(service.store, service.artifacts)

    def work() -> None:
        while not (found := service.store.list_jobs(kind=Kind.EXPORT, limit=1)):
            time.sleep(0.02)
        makers.do_export(service.store, service.artifacts, found[0].id)

    worker = threading.Thread(target=work)
    worker.start()
    target = tmp_path / "logs.zip"
    told = foglab("dataset", "export", dataset, "-o", str(target), service=service).output
    worker.join()
    assert "LeRobot v3.0, 3 episodes" in told
    assert detect(target).episodes == 3
    refused = foglab("dataset", "export", "ds_0000000000000000", service=service, status=1)
    assert "name a dataset or a rollout" in refused.stderr


def test_a_policy_is_exported_with_its_parity(
    service: Service, exported_policy: Path, tmp_path: Path
) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    model = makers.model(service.store, service.artifacts, dataset)
    pilot = makers.policy(service.store, dataset, model)

    def work() -> None:
        while not (found := service.store.list_jobs(kind=Kind.POLICY_EXPORT, limit=1)):
            time.sleep(0.02)
        makers.keep_export(service.store, service.artifacts, found[0].id, exported_policy)

    worker = threading.Thread(target=work)
    worker.start()
    target = tmp_path / "policy.zip"
    words = ("policy", "export", pilot, "--to", "onnx", "-o", str(target))
    told = foglab(*words, service=service).output
    worker.join()
    assert "on 100 real frames" in told
    assert re.search(r"onnx +\d\.\de-\d+ +\d\.\de-\d+ +\d\.\de-\d+", told)
    assert zipfile.is_zipfile(target)
    refused = foglab("policy", "export", model, service=service, status=1)
    assert "not a policy" in refused.stderr


def test_pipeline_of_a_dataset_is_queued_whole(service: Service) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    pipeline = ("train", "pipeline", "--dataset", dataset, "--preset", "smoke", "--no-follow")
    printed = foglab(*pipeline, service=service).output
    assert len(set(re.findall(r"job_[0-9a-f]{16}", printed))) == 5
    foglab("train", "pipeline", service=service, status=2)


def test_goal_frames_are_given_as_episode_and_frame(service: Service) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    asked = ("train", "global", "--dataset", dataset, "--reward", "ranking")
    refused = foglab(*asked, service=service, status=1)
    assert "episode:frame" in refused.stderr
    foglab(*asked, "--goal", "1:-1", "--goal", "4", service=service)
    job = service.store.list_jobs(limit=1)[0]
    assert job.spec["goals"] == [{"episode": 1, "frame": -1}, {"episode": 4, "frame": -1}]


def test_refusals_are_one_sentence(service: Service) -> None:
    wrong = ("train", "local", "--dataset", "ds_ffffffffffffffff")
    refused = foglab(*wrong, service=service, status=1)
    assert "does not exist" in refused.stderr
    assert "Traceback" not in refused.stderr
    bad = foglab(*wrong, "--set", "stepz=3", service=service, status=1)
    assert "spec.stepz" in bad.stderr
    lost = CliRunner().invoke(app, ["--url", service.url, "--token", "x", "jobs"])
    assert lost.exit_code == 4
    assert "token is not valid" in lost.stderr
    told = foglab("--json", *wrong, service=service, status=1)
    assert json.loads(told.stderr)["status"] == 422


def test_without_a_service_the_way_out_is_named(tmp_path: Path) -> None:
    assert "foglab up" in foglab("jobs", status=3).stderr
    nobody = CliRunner().invoke(app, ["--url", "http://127.0.0.1:9", "--token", "x", "doctor"])
    assert nobody.exit_code == 1
    assert "does not answer" in nobody.output


def test_tokens_are_made_listed_and_revoked(tmp_path: Path) -> None:
    made = foglab("token", "create", "robot", "--scope", "read", "--days", "2").output.strip()
    assert made.startswith("fog_")
    listed = foglab("token", "list").output
    assert "robot" in listed
    assert made not in listed
    environment = Environment.read()
    upgrade(environment.database_url)
    store = Store.open(environment.database_url)
    token = store.check_token(made)
    assert token is not None
    assert token.scopes == ("read",)
    foglab("token", "revoke", token.id)
    assert store.check_token(made) is None
    foglab("token", "revoke", "tok_ffffffffffffffff", status=1)
    store.close()


def test_logs_are_made_as_the_demo_makes_them(tmp_path: Path) -> None:
    target = tmp_path / "logs.zip"
    foglab("make-logs", "push_disc", str(target), "--episodes", "1", "--image-size", "32")
    make_logs("push_disc", 1, tmp_path / "same.zip", image_size=32)
    assert target.read_bytes() == (tmp_path / "same.zip").read_bytes()
    assert "dance" in foglab("make-logs", "dance", str(target), status=1).stderr


def test_fields_are_json_or_text() -> None:
    assert values(["steps=5", "name=logs", "channels=[1, 2]", "x=true"]) == {
        "steps": 5,
        "name": "logs",
        "channels": [1, 2],
        "x": True,
    }
    assert json.dumps(values(None)) == "{}"
