"""Every operation of the application, and one of each thing that its paths can name."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from api.views import PREFIX
from core.jobs.spec import DetectSpec, ExportSpec
from tests.api import makers
from tests.api.conftest import Service

Things = dict[str, str]
"""Value of each path parameter."""


PLACEHOLDERS: Things = defaultdict(lambda: "ds_0123456789abcdef", n="0")
"""Values that name nothing."""


@dataclass(frozen=True)
class Operation:
    """A method of a route."""

    method: str
    path: str

    def url(self, things: Things) -> str:
        """The path with its parameters filled in; a parameter that is not known is an error."""
        return re.sub(r"\{(\w+)(:\w+)?\}", lambda m: things[m.group(1)], self.path)

    def body(self) -> dict[str, Any]:
        """Enough for a request that is about whose object it is."""
        if self.method == "PATCH":
            headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
            return {"content": b"abc", "headers": headers}
        return {"json": {}} if self.method == "POST" else {}


def everything(app: FastAPI) -> Iterator[Operation]:
    """All operations, as the application has them today."""
    for context in iter_route_contexts(app.routes):
        for method in sorted(context.methods or ()):
            yield Operation(method, str(context.path))


def operations(app: FastAPI) -> Iterator[Operation]:
    """Those of the API proper."""
    return (o for o in everything(app) if o.path.startswith(PREFIX))


def make_things(service: Service) -> Things:
    """One of everything, in the default project, named by path parameter."""
    store, artifacts = service.store, service.artifacts
    dataset = makers.dataset(store, artifacts)
    model = makers.model(store, artifacts, dataset)
    rollout = makers.rollout(store, artifacts, dataset, model)
    upload = service.app.state.services.uploads.create(makers.announced(5))
    with service.app.state.services.uploads.writer(upload, 0) as writer:
        writer.write(b"hello")
        writer.commit(None)
    store.register_upload(upload, "ours-and-secret.zip", 5, "0" * 64)
    exported = store.submit(ExportSpec(source=dataset), "export")
    makers.do_export(store, artifacts, exported.id)
    detected = makers.finish(store, DetectSpec(upload=upload), "ours-and-secret", {})
    folder = artifacts.detection(detected.output_id)
    folder.mkdir(parents=True)
    (folder / "detection.json").write_text(f'{{"upload": "{upload}"}}')
    job = store.get_artifact(dataset).job_id
    webhook = store.add_webhook("https://ours-and-secret.example").id
    return {
        "artifact_id": model,
        "dataset_id": dataset,
        "delivery_id": store.test_webhook(webhook).id,
        "detection_id": detected.output_id,
        "evaluation_id": makers.evaluation(store, dataset, model),
        "export_id": exported.output_id,
        "job_id": job,
        "model_id": model,
        "n": "0",
        "policy_id": model,
        "rollout_id": rollout,
        "token_id": store.issue_token("ours-and-secret")[0].id,
        "upload_id": upload,
        "webhook_id": webhook,
    }
