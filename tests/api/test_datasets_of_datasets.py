"""Looks into uploads and datasets made of datasets, as a client asks for them."""

import json

import pytest

from core.jobs.spec import DetectSpec
from foglab.client import ServiceClient, ServiceError
from tests.api import makers
from tests.api.conftest import Service


def test_a_look_into_an_upload_is_a_job_and_then_a_page(
    client: ServiceClient, service: Service
) -> None:
    upload = makers.upload(service.store)
    job = client.detect(upload, flip="vertical")
    assert (job.kind, job.spec["upload"], job.spec["flip"]) == ("detect", upload, "vertical")
    made = makers.finish(service.store, DetectSpec(upload=upload), "look", {})
    folder = service.artifacts.detection(made.output_id)
    folder.mkdir(parents=True)
    column = {"key": "action", "shape": [2], "dtype": "float32", "image": False}
    content = {"upload": upload, "format": "npz", "columns": [column], "thumbnails": {"image": []}}
    (folder / "detection.json").write_text(json.dumps(content))
    found = client.detection(made.output_id)
    assert (found.upload, found.format, found.columns[0].shape) == (upload, "npz", [2])


def test_a_dataset_is_made_of_datasets(client: ServiceClient, service: Service) -> None:
    first, second = (makers.dataset(service.store, service.artifacts) for _ in range(2))
    job = client.derive(first, "both", merge=[second], drop=[1], goals=["0:-1"], tags={0: ["a"]})
    assert (job.kind, job.name) == ("derive", "both")
    assert job.spec["merge"] == [second]
    assert job.spec["goals"] == [{"episode": 0, "frame": -1}]
    assert job.spec["tags"] == {"0": ["a"]}


def test_what_is_no_dataset_cannot_be_merged(client: ServiceClient, service: Service) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    model = makers.model(service.store, service.artifacts, dataset)
    with pytest.raises(ServiceError, match=r"is a global model, not a dataset"):
        client.derive(dataset, "odd", merge=[model])
    with pytest.raises(ServiceError, match="is a dataset"):
        client.detection(dataset)
    with pytest.raises(ServiceError) as refused:
        client.derive(dataset, "odd", drop=[-1])
    assert refused.value.status == 422
