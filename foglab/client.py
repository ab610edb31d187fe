"""The service as Python calls; the command line and the dashboard use this and nothing else."""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from pydantic import TypeAdapter

from core.jobs.replies import (
    Dataset,
    Deleted,
    Delivery,
    Detection,
    Episode,
    EpisodeData,
    Evaluation,
    Event,
    Export,
    Job,
    LineageNode,
    Metrics,
    Model,
    NewToken,
    NewWebhook,
    Pipeline,
    Reply,
    Rollout,
    RolloutItem,
    Storage,
    Token,
    Upload,
    Webhook,
    Worker,
)
from core.jobs.spec import Spec
from foglab import sse, tus
from foglab.transport import ServiceError, Transport, problem

__all__ = ["ServiceClient", "ServiceError"]

API = "/api/v1"
PAGE = 500
"""Most items that the service lists at once; longer lists are read page by page."""
FAMILIES = {
    "ds": "datasets",
    **dict.fromkeys(("gm", "lm", "pi"), "models"),
    "ro": "rollouts",
    "ev": "evaluations",
    "ex": "exports",
}
"""Prefix of an id to the address of what has it."""
R = TypeVar("R", bound=Reply)


class ServiceClient:
    """Typed calls; each raises `ServiceError` and nothing else when the service says no.

    `patience` is for how many seconds a call repeats itself while the service does not answer.
    `public_url` is where a browser finds the service, if that is another address than `url`.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        timeout: float = 30.0,
        patience: float = 5.0,
        public_url: str | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self._transport = Transport(url, token, timeout=timeout, patience=patience, http=http)
        self.url = self._transport.url
        self.public_url = (public_url or self.url).rstrip("/")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.http.close()

    def link(self, signed: str) -> str:
        """A `..._url` of a reply as an address that a browser's <video> can open."""
        return signed if "://" in signed else f"{self.public_url}{signed}"

    # --- Service

    def health(self) -> dict[str, Any]:
        """`{"status": "ok"}` while the API process lives; needs no token."""
        return self._object("GET", "/healthz")

    def ready(self) -> dict[str, Any]:
        """Whether database and storage can be used; needs no token. 503 is an error."""
        return self._object("GET", "/readyz")

    def specs(self) -> dict[str, Any]:
        """For forms: `{"kinds": {kind: JSON schema}, "presets": {preset: {kind: fields}}}`."""
        return self._object("GET", f"{API}/specs")

    # --- Administration: needs a token with the scope admin

    def tokens(self) -> list[Token]:
        """Tokens of the project, without their secrets."""
        return self._list(Token, f"{API}/tokens")

    def create_token(
        self, name: str, *, scopes: Sequence[str] = ("write",), days: float | None = None
    ) -> NewToken:
        """A new token; its `secret` cannot be read again."""
        body = {"name": name, "scopes": list(scopes), "days": days}
        made = self._transport.json("POST", f"{API}/tokens", json=body, repeat=False)
        return NewToken.model_validate(made)

    def revoke_token(self, token_id: str) -> Token:
        """Make a token useless from its next request on."""
        return Token.model_validate(self._object("DELETE", f"{API}/tokens/{token_id}"))

    def workers(self) -> list[Worker]:
        """Workers that were seen within a day."""
        return self._list(Worker, f"{API}/workers")

    def storage(self) -> Storage:
        """What takes up the disk, and what is free."""
        return self._get(Storage, f"{API}/storage")

    # --- Uploads and datasets

    def upload(
        self,
        path: Path | str,
        *,
        resume: str | None = None,
        created: Callable[[str], None] | None = None,
        progress: tus.Listener | None = None,
        chunk: int = tus.CHUNK,
    ) -> Upload:
        """Upload a file, or a folder as a zip; `resume` is the id of a try that was cut off.

        `created` is told the id before the first byte is sent, `progress` the bytes sent and all.
        """
        with tus.as_file(Path(path)) as file:
            upload = tus.upload_file(
                self._transport,
                file,
                resume=resume,
                created=created,
                progress=progress,
                chunk=chunk,
            )
        return self.get_upload(upload)

    def delete_upload(self, upload_id: str) -> None:
        """Give up an upload that is not finished, and free its place."""
        path = f"{API}/uploads/{upload_id}"
        self._transport.request("DELETE", path, headers={"Tus-Resumable": "1.0.0"})

    def get_upload(self, upload_id: str) -> Upload:
        """State of one upload."""
        return self._get(Upload, f"{API}/uploads/{upload_id}")

    def ingest(
        self, upload_id: str, name: str, *, key: str | None = None, **options: object
    ) -> Job:
        """Make a dataset of an upload; options are the fields of `IngestSpec`."""
        body = {"upload_id": upload_id, "name": name, **options}
        return Job.model_validate(self._post(f"{API}/datasets", body, key)["job"])

    def detect(self, upload_id: str, *, key: str | None = None, **options: object) -> Job:
        """Look into an upload; options are the fields of `DetectSpec`."""
        return self.submit("detect", {"upload": upload_id, **options}, key=key)

    def detection(self, detection_id: str) -> Detection:
        """What a job of `detect` found; its `output_id` is the id."""
        return self._get(Detection, f"{API}/detections/{detection_id}")

    def derive(
        self, dataset_id: str, name: str, *, key: str | None = None, **options: object
    ) -> Job:
        """Make a new dataset of one or several; options are the fields of `DeriveSpec`."""
        spec = {"dataset": dataset_id, "name": name, **options}
        return self.submit("derive", spec, name=name, key=key)

    def datasets(self, limit: int = 100) -> list[Dataset]:
        """Newest first."""
        return self._list(Dataset, f"{API}/datasets", limit=limit)

    def dataset(self, dataset_id: str) -> Dataset:
        """One dataset with its `meta`."""
        return self._get(Dataset, f"{API}/datasets/{dataset_id}")

    def dataset_report(self, dataset_id: str) -> dict[str, Any]:
        """What validation found when the dataset was ingested."""
        return self._object("GET", f"{API}/datasets/{dataset_id}/report")

    def episodes(self, dataset_id: str, first: int = 0, limit: int | None = None) -> list[Episode]:
        """Episodes of a dataset from number `first` on, at most `limit` or all."""
        path = f"{API}/datasets/{dataset_id}/episodes"
        return self._list(Episode, path, first=first, limit=limit)

    def episode(self, dataset_id: str, n: int) -> EpisodeData:
        """Actions, state and rewards of one episode."""
        return self._get(EpisodeData, f"{API}/datasets/{dataset_id}/episodes/{n}")

    def download_episode(self, dataset_id: str, n: int, target: Path | str) -> Path:
        """Write the video of one episode to `target`."""
        return self._download(f"{API}/datasets/{dataset_id}/episodes/{n}/video", Path(target))

    # --- Jobs

    def submit(
        self,
        kind: str,
        spec: Spec | dict[str, Any] | None = None,
        *,
        preset: str | None = None,
        name: str | None = None,
        depends_on: Sequence[str] = (),
        key: str | None = None,
    ) -> Job:
        """Queue a job; with a preset, `spec` holds only what differs from it."""
        fields = spec.model_dump(mode="json") if isinstance(spec, Spec) else (spec or {})
        body = {"kind": kind, "spec": fields, "preset": preset, "name": name}
        return Job.model_validate(
            self._post(f"{API}/jobs", {**body, "depends_on": list(depends_on)}, key)
        )

    def pipeline(
        self,
        *,
        preset: str,
        dataset_id: str | None = None,
        upload_id: str | None = None,
        name: str | None = None,
        task: str | None = None,
        reward: str = "logged",
        goals: Sequence[str] = (),
        seed: int = 0,
        key: str | None = None,
    ) -> Pipeline:
        """Queue the whole line for a dataset, or for an upload that becomes one.

        `goals` are frames as `episode:frame`, for the ranking reward.
        """
        source = {"dataset_id": dataset_id, "upload_id": upload_id, "name": name}
        chosen = {"reward": reward, "goals": list(goals)}
        body = {**source, **chosen, "preset": preset, "task": task, "seed": seed}
        return Pipeline.model_validate(self._post(f"{API}/pipelines", body, key))

    def jobs(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        pipeline: str | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """Newest first."""
        return self._list(
            Job, f"{API}/jobs", status=status, kind=kind, pipeline=pipeline, limit=limit
        )

    def job_page(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        cursor: int | None = None,
        limit: int = 25,
    ) -> tuple[list[Job], int | None]:
        """One page of `jobs`, and the cursor of the page after it."""
        params = _given(status=status, kind=kind, cursor=cursor, limit=limit)
        page = self._object("GET", f"{API}/jobs", params=params)
        return [Job.model_validate(item) for item in page["items"]], page["next"]

    def job(self, job_id: str) -> Job:
        """One job."""
        return self._get(Job, f"{API}/jobs/{job_id}")

    def cancel(self, job_id: str) -> Job:
        """Ask a job to stop; a running one ends within seconds, with a checkpoint."""
        return Job.model_validate(self._object("POST", f"{API}/jobs/{job_id}/cancel"))

    def retry(self, job_id: str) -> Job:
        """Queue a failed or cancelled job again; it goes on from its last checkpoint."""
        return Job.model_validate(self._object("POST", f"{API}/jobs/{job_id}/retry", repeat=False))

    def metrics(self, job_id: str, after: int = 0, limit: int | None = None) -> Metrics:
        """Metric lines after line `after` (0: from the first)."""
        params = _given(after=after, limit=limit)
        return Metrics.model_validate(
            self._object("GET", f"{API}/jobs/{job_id}/metrics", params=params)
        )

    def log(self, job_id: str, tail: int = 200) -> str:
        """The last lines that the job's process wrote."""
        path = f"{API}/jobs/{job_id}/log"
        return self._transport.request("GET", path, params={"tail": tail}).text

    def events(self, job_id: str, after: int = 0) -> Iterator[Event]:
        """Metric, progress and state events as they happen, until the job has ended."""
        return sse.job_events(self._transport, f"{API}/jobs/{job_id}/events", after)

    def wait(
        self, job_ids: str | Iterable[str], *, timeout: float | None = None, every: float = 1.0
    ) -> list[Job]:
        """Wait until all jobs have ended, whatever the end; `TimeoutError` after `timeout` s."""
        ids = [job_ids] if isinstance(job_ids, str) else list(job_ids)
        deadline = None if timeout is None else time.monotonic() + timeout
        while not all((jobs := {i: self.job(i) for i in ids})[i].ended for i in ids):
            if deadline is not None and time.monotonic() > deadline:
                states = ", ".join(f"{i} {jobs[i].status}" for i in ids)
                raise TimeoutError(f"not ended after {timeout} s: {states}")
            time.sleep(every)
        return [jobs[i] for i in ids]

    # --- Results

    def models(self, kind: str | None = None, limit: int = 100) -> list[Model]:
        """Newest first; kind is global_model, local_model or policy."""
        return self._list(Model, f"{API}/models", kind=kind, limit=limit)

    def model(self, model_id: str) -> Model:
        """One model with config, spec, lineage and result."""
        return self._get(Model, f"{API}/models/{model_id}")

    def lineage_of(self, artifact_id: str) -> list[LineageNode]:
        """All that a dataset, model, policy or rollout was made of, and all that was made of it."""
        return self._list(LineageNode, f"{API}/lineage/{artifact_id}")

    def download_model(
        self, model_id: str, target: Path | str, progress: tus.Listener | None = None
    ) -> Path:
        """Write the model's folder as a zip to `target`; `progress` is told bytes and all or 0."""
        return self._download(f"{API}/models/{model_id}/download", Path(target), progress)

    def exports(self, limit: int = 100) -> list[Export]:
        """Newest first."""
        return self._list(Export, f"{API}/exports", limit=limit)

    def export(self, source: str, *, pictures: str = "h264", key: str | None = None) -> Job:
        """Queue the export of a dataset, or of imagined rollouts, as LeRobot v3.0."""
        spec = {"source": source, "pictures": pictures}
        return self.submit("export", spec, name=f"export of {source}", key=key)

    def export_policy(self, policy_id: str, *, key: str | None = None, **options: object) -> Job:
        """Queue the export of a policy; options are the fields of `PolicyExportSpec`."""
        spec = {"policy": policy_id, **options}
        return self.submit("policy_export", spec, name=f"export of {policy_id}", key=key)

    def get_export(self, export_id: str) -> Export:
        """One export; for a policy, `result["parity"]` tells how exact it is."""
        return self._get(Export, f"{API}/exports/{export_id}")

    def download_export(
        self, export_id: str, target: Path | str, progress: tus.Listener | None = None
    ) -> Path:
        """Write the export as a zip to `target`; `progress` is told bytes and all or 0."""
        return self._download(f"{API}/exports/{export_id}/download", Path(target), progress)

    def _download(
        self,
        path: str,
        target: Path,
        progress: tus.Listener | None = None,
        params: dict[str, Any] | None = None,
    ) -> Path:
        partial = target.with_name(f".{target.name}.part")
        stream = self._transport.http.stream("GET", path, params=params)
        try:
            with stream as response, partial.open("wb") as file:
                if response.is_error:
                    response.read()
                    raise problem(response)
                size = int(response.headers.get("Content-Length", 0))
                for block in response.iter_bytes(1 << 20):
                    file.write(block)
                    if progress is not None:
                        progress(file.tell(), size)
            return partial.replace(target)
        except httpx.TransportError as error:
            raise self._transport.unreachable(error) from error
        finally:
            partial.unlink(missing_ok=True)

    def rollouts(self, limit: int = 100) -> list[Rollout]:
        """Newest first."""
        return self._list(Rollout, f"{API}/rollouts", limit=limit)

    def rollout(self, rollout_id: str) -> Rollout:
        """One rollout with its items; `link(item.video_url)` plays in a browser."""
        return self._get(Rollout, f"{API}/rollouts/{rollout_id}")

    def download_rollout(
        self, rollout_id: str, item: int, target: Path | str, which: str = "video"
    ) -> Path:
        """Write one video; which is `video` (both side by side), `real` or `imagined`."""
        path, params = f"{API}/rollouts/{rollout_id}/video", {"item": item, "which": which}
        return self._download(path, Path(target), params=params)

    def rollout_errors(self, rollout_id: str) -> list[RolloutItem]:
        """Per-step errors of all items."""
        return self._list(RolloutItem, f"{API}/rollouts/{rollout_id}/errors")

    def evaluations(self, *, of: str | None = None, limit: int = 100) -> list[Evaluation]:
        """Newest first; `of` names a model or dataset that was judged."""
        return self._list(Evaluation, f"{API}/evaluations", of=of, limit=limit)

    def evaluation(self, evaluation_id: str) -> Evaluation:
        """One evaluation."""
        return self._get(Evaluation, f"{API}/evaluations/{evaluation_id}")

    def delete(self, artifact_id: str, *, with_products: bool = False) -> list[str]:
        """Delete a dataset, model, policy, rollout, evaluation or export; ids of what is gone.

        Refused while something was made of it, which `with_products` deletes too, or a job reads it.
        """
        family = FAMILIES.get(artifact_id.partition("_")[0])
        if family is None:
            raise ValueError(f"{artifact_id!r} is no id of a dataset, model or result")
        params = {"with_products": with_products}
        path = f"{API}/{family}/{artifact_id}"
        gone = self._object("DELETE", path, params=params, repeat=False)
        return Deleted.model_validate(gone).ids

    # --- Webhooks: needs a token with the scope admin

    def webhooks(self) -> list[Webhook]:
        """Addresses that are told of the project's ended jobs, oldest first."""
        return self._list(Webhook, f"{API}/webhooks")

    def add_webhook(self, url: str) -> NewWebhook:
        """Tell `url` of every job that ends from now on; the secret is in the answer only."""
        answer = self._object("POST", f"{API}/webhooks", json={"url": url}, repeat=False)
        return NewWebhook.model_validate(answer)

    def remove_webhook(self, webhook_id: str) -> None:
        """Tell it nothing more."""
        self._transport.request("DELETE", f"{API}/webhooks/{webhook_id}")

    def deliveries(self, webhook_id: str, limit: int = 100) -> list[Delivery]:
        """What it was told, newest first."""
        return self._list(Delivery, f"{API}/webhooks/{webhook_id}/deliveries", limit=limit)

    def test_webhook(self, webhook_id: str) -> Delivery:
        """Tell it something that is about no job; `deliveries` says how it went."""
        path = f"{API}/webhooks/{webhook_id}/test"
        return Delivery.model_validate(self._object("POST", path, repeat=False))

    def resend(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Tell it once more."""
        path = f"{API}/webhooks/{webhook_id}/deliveries/{delivery_id}/resend"
        return Delivery.model_validate(self._object("POST", path, repeat=False))

    # --- Helpers

    def _object(self, method: str, path: str, **kw: Any) -> dict[str, Any]:
        return _objects.validate_python(self._transport.json(method, path, **kw))

    def _get(self, model: type[R], path: str) -> R:
        found = model.model_validate(self._object("GET", path))
        found._site = self.public_url
        return found

    def _list(self, model: type[R], path: str, **params: object) -> list[R]:
        wanted, found = params.get("limit"), list[R]()
        asked = _given(**params)
        while True:
            if isinstance(wanted, int):
                asked["limit"] = min(wanted - len(found), PAGE)
            page = self._object("GET", path, params=asked)
            found += [model.model_validate(item) for item in page["items"]]
            asked["cursor"] = page.get("next")
            if asked["cursor"] is None or (isinstance(wanted, int) and len(found) >= wanted):
                return found

    def _post(self, path: str, body: dict[str, Any], key: str | None) -> dict[str, Any]:
        # With a key the service makes one job of any number of repeats, so repeating is safe.
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self._object("POST", path, json=_given(**body), headers=headers)


_objects: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


def _given(**values: object) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v is not None}
