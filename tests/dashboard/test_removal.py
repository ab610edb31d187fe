"""Deleting in the pages: a question that names what goes along, and reasons if it cannot be."""

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs.spec import GlobalModelSpec
from foglab.client import ServiceClient, ServiceError
from tests.dashboard.conftest import Service, opened, texts
from tests.dashboard.makers import Lab, finish, ingest


def test_a_dataset_goes_with_all_that_was_made_of_it(
    app: AppTest, service: Service, client: ServiceClient, lab: Lab
) -> None:
    dataset = ingest(service.store, service.artifacts, lab.upload, "spare")
    model = finish(service.store, GlobalModelSpec(dataset=dataset), "spare world", {}).output_id
    opened(app, "datasets", dataset=dataset)
    app.session_state[f"delete-{dataset}"] = True
    app.run()
    assert "spare world" in "\n".join(t.value for t in app.text)
    assert client.dataset(dataset).id == dataset  # asked, not done
    app.button(key=f"delete-{dataset}-sure").click().run()
    assert not app.exception
    for get, gone in ((client.dataset, dataset), (client.model, model)):
        with pytest.raises(ServiceError, match="no artifact"):
            get(gone)


def test_a_dataset_that_a_job_reads_stays_with_the_reason(
    app: AppTest, service: Service, client: ServiceClient, lab: Lab
) -> None:
    dataset = ingest(service.store, service.artifacts, lab.upload, "busy")
    job = service.store.submit(GlobalModelSpec(dataset=dataset), "reads it")
    opened(app, "datasets", dataset=dataset)
    app.session_state[f"delete-{dataset}"] = True
    app.run()
    app.button(key=f"delete-{dataset}-sure").click().run()
    assert job.id in texts(app)
    assert client.dataset(dataset).id == dataset
    service.store.request_cancel(job.id)
