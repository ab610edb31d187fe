"""Jobs: queued, watched, waited for."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from core.jobs.replies import Event, Job, Metrics, Pipeline
from core.jobs.spec import Spec
from foglab import sse
from foglab.calls.base import API, Calls, given


class JobCalls(Calls):
    """Jobs and pipelines."""

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
        params = given(status=status, kind=kind, cursor=cursor, limit=limit)
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
        params = given(after=after, limit=limit)
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
