"""Exports are queued for a dataset, listed when done and downloaded as a zip."""

import zipfile
from pathlib import Path

import httpx
import pytest

from core.data.readers import detect
from foglab.client import ServiceClient, ServiceError
from tests.api import makers
from tests.api.conftest import Service

DATASETS = "/api/v1/datasets"


def test_export_of_a_dataset_is_listed_and_downloaded(
    client: ServiceClient, http: httpx.Client, service: Service, tmp_path: Path
) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    answer = http.post(f"{DATASETS}/{dataset}/export", json={"pictures": "png"})
    assert answer.status_code == 202
    job = client.job(answer.json()["job"]["id"])
    assert (job.kind, job.spec["source"], job.spec["pictures"]) == ("export", dataset, "png")
    assert client.exports() == []
    makers.do_export(service.store, service.artifacts, job.id)
    (found,) = client.exports()
    assert (found.id, found.source, found.result["episodes"]) == (job.output_id, dataset, 3)
    path = client.download_export(found.id, tmp_path / "a.zip")
    read = detect(path)
    assert (read.layout, read.episodes, read.problem) == ("lerobot v3.0", 3, "")
    assert httpx.get(client.link(found.download_url)).content == path.read_bytes()
    assert httpx.get(client.link(found.download_url.split("?")[0])).status_code == 401


def test_what_cannot_be_exported_is_refused(
    client: ServiceClient, http: httpx.Client, service: Service, tmp_path: Path
) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    model = makers.model(service.store, service.artifacts, dataset)
    with pytest.raises(ServiceError, match="not a dataset or a rollout"):
        client.export(model)
    assert http.post(f"{DATASETS}/{model}/export", json={}).status_code == 404
    answer = http.post(f"{DATASETS}/{dataset}/export", json={"pictures": "gif"})
    assert answer.status_code == 422
    with pytest.raises(ServiceError, match="is a dataset"):
        client.download_export(dataset, tmp_path / "a.zip")


def test_a_policy_export_waits_for_a_policy_and_is_downloaded(
    client: ServiceClient, service: Service, exported_policy: Path, tmp_path: Path
) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    model = makers.model(service.store, service.artifacts, dataset)
    with pytest.raises(ServiceError, match="is a global model, not a policy"):
        client.export_policy(model)
    policy = makers.policy(service.store, dataset, model)
    with pytest.raises(ServiceError, match="formats"):
        client.export_policy(policy, formats=["tflite"])
    job = client.export_policy(policy, formats=["onnx"])
    makers.keep_export(service.store, service.artifacts, job.id, exported_policy)
    found = client.exports()[0]
    assert (found.id, found.kind, found.source) == (job.output_id, "policy_export", policy)
    path = client.download_export(found.id, tmp_path / "policy.zip")
    with zipfile.ZipFile(path) as archive:
        assert {"policy/policy.onnx", "policy/parity.json"} <= set(archive.namelist())
