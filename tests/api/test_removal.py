"""Deleting over HTTP: refused with names, done whole, and by nobody who may only read."""

import pytest

from foglab.client import ServiceClient, ServiceError
from tests.api import makers
from tests.api.conftest import Service


def test_a_needed_dataset_is_refused_and_its_model_named(
    client: ServiceClient, service: Service
) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    model = makers.model(service.store, service.artifacts, dataset)
    with pytest.raises(ServiceError, match=model) as refused:
        client.delete(dataset)
    assert refused.value.status == 409
    assert client.dataset(dataset).id == dataset


def test_everything_goes_in_the_order_of_need_or_at_once(
    client: ServiceClient, service: Service
) -> None:
    for at_once in (False, True):
        dataset = makers.dataset(service.store, service.artifacts)
        model = makers.model(service.store, service.artifacts, dataset)
        rollout = makers.rollout(service.store, service.artifacts, dataset, model)
        made = [rollout, model, dataset]
        if at_once:
            assert sorted(client.delete(dataset, with_products=True)) == sorted(made)
        else:
            assert [client.delete(i) for i in made] == [[i] for i in made]
        for get, identifier in (
            (client.rollout, rollout),
            (client.model, model),
            (client.dataset, dataset),
        ):
            with pytest.raises(ServiceError) as gone:
                get(identifier)
            assert gone.value.status == 404


def test_lineage_tells_of_what_was_deleted(client: ServiceClient, service: Service) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    model = makers.model(service.store, service.artifacts, dataset)
    rollout = makers.rollout(service.store, service.artifacts, dataset, model)
    client.delete(rollout)
    assert rollout not in [n.id for n in client.lineage_of(model)]


def test_an_id_is_deleted_only_where_it_belongs(client: ServiceClient, service: Service) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    for family in ("models", "rollouts", "evaluations", "exports"):
        with pytest.raises(ServiceError) as refused:
            client._object("DELETE", f"/api/v1/{family}/{dataset}")
        assert refused.value.status == 404
    with pytest.raises(ValueError, match="no id of a dataset"):
        client.delete("job_0123456789abcdef")


def test_who_may_only_read_deletes_nothing(client: ServiceClient, service: Service) -> None:
    dataset = makers.dataset(service.store, service.artifacts)
    token = client.create_token("reader", scopes=["read"]).secret
    with ServiceClient(service.url, token) as reader, pytest.raises(ServiceError) as refused:
        reader.delete(dataset)
    assert refused.value.status == 403
