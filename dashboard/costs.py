"""What jobs took here, asked of the service, and what others will take."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from core.jobs.estimates import FAR, Estimate, Past, Waiting, estimate, median, queue_starts
from core.jobs.replies import Job
from core.jobs.spec import QUEUES, Kind
from dashboard import access, words
from foglab.show import duration

Spec = Mapping[str, Any]
NO_RUN = "unknown until a job of this kind has finished here"


def defaults(schema: Spec) -> dict[str, Any]:
    """What a spec holds where nothing is said, from its JSON schema."""
    return {n: p["default"] for n, p in schema.get("properties", {}).items() if "default" in p}


def of(kind: str, spec: Spec, side: int, world: Spec | None = None) -> Estimate | None:
    """Scaled from the past runs of this kind; None where nothing like it has run."""
    return estimate(kind, spec, side, past(kind), world)


@st.cache_data(scope="session", ttl=30, show_spinner=False)
def past(kind: str) -> list[Past]:
    """The newest finished jobs of a kind."""
    return [_past(job) for job in access.client().jobs(kind=kind, status="succeeded", limit=10)]


def _past(job: Job) -> Past:
    cost, dataset = job.cost, job.spec.get("dataset")
    world = job.spec.get("global_model") if job.kind != "local_model" else None
    return Past(
        spec=job.spec,
        side=side(dataset) if dataset else 0,
        seconds=job.seconds or 0.0,
        peak_memory_bytes=cost.peak_memory_bytes if cost else None,
        disk_bytes=cost.disk_bytes if cost else None,
        world=spec_of(world) if world else None,
        training_seconds=cost.training_seconds if cost else None,
    )


@st.cache_data(scope="session", max_entries=200, show_spinner=False)
def side(dataset_id: str) -> int:
    """Side of a dataset's frames in pixels. Datasets never change."""
    shapes = (access.client().dataset(dataset_id).meta or {}).get("shapes", {})
    return int(shapes.get("frames", [0, 0])[1])


@st.cache_data(scope="session", max_entries=200, show_spinner=False)
def spec_of(model_id: str) -> Spec | None:
    """Spec of the job that made a model; models never change."""
    return access.client().model(model_id).spec


def row(name: str, found: Estimate | None) -> dict[str, str]:
    """One row of a table of estimates."""
    if found is None:
        return {"Job": name, "Time": NO_RUN, "Memory": "", "Disk": "", "From": ""}
    return {
        "Job": name,
        "Time": f"{duration(found.seconds)} ({duration(found.seconds_low)} to "
        f"{duration(found.seconds_high)})",
        "Memory": words.size(found.memory_bytes) if found.memory_bytes else "",
        "Disk": words.size(found.disk_bytes) if found.disk_bytes else "",
        "From": f"{found.runs} past run{'s' if found.runs > 1 else ''}{_far(found.scale)}",
    }


def _far(scale: float) -> str:
    if scale >= FAR:
        return f", {scale:.0f} times smaller"
    return f", {1 / scale:.0f} times larger" if scale <= 1 / FAR else ""


def total(found: Sequence[Estimate | None]) -> str:
    """All of a line, one job after the other."""
    known = [e for e in found if e is not None]
    if not known:
        return "Nothing like it has run on this installation yet, so nobody can tell."
    seconds = duration(sum(e.seconds for e in known))
    memory = max((e.memory_bytes or 0 for e in known), default=0)
    disk = sum(e.disk_bytes or 0 for e in known)
    parts = [f"about **{seconds}** in all"]
    parts += [f"at most {words.size(memory)} of memory at a time"] if memory else []
    parts += [f"{words.size(disk)} on disk"] if disk else []
    missing = len(found) - len(known)
    rest = f"; {missing} job{'s' if missing > 1 else ''} not counted" if missing else ""
    return f"{', '.join(parts)}{rest}."


def starts(active: Sequence[Job]) -> dict[str, Waiting]:
    """When queued jobs will start; `active` are all that have not ended."""
    running = [job for job in active if job.status == "running"]
    queued = sorted((j for j in active if j.status != "running"), key=lambda job: job.created_at)
    takes = {kind: _usual(kind) for kind in {job.kind for job in queued}}
    return queue_starts(
        [
            *(
                (j.id, _queue(j), j.progress.eta_seconds if j.progress else None, [])
                for j in running
            ),
            *((j.id, _queue(j), takes[j.kind], j.depends_on) for j in queued),
        ]
    )


def waiting(found: Waiting | None) -> str:
    """When it starts, in words; nothing where nobody can tell."""
    if found is None:
        return ""
    ahead = f"{found.ahead} ahead" if found.ahead else "next"
    if found.seconds is None:
        return ahead
    return ahead if found.seconds < 1 else f"{ahead}, starts in about {duration(found.seconds)}"


def _usual(kind: str) -> float | None:
    found = past(kind)
    return median([p.seconds for p in found]) if found else None


def _queue(job: Job) -> str:
    return QUEUES.get(Kind(job.kind), "gpu") if job.kind in set(Kind) else "gpu"
