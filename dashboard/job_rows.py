"""Jobs as rows, and a pipeline as the chain of its stages."""

from collections.abc import Mapping, Sequence

import streamlit as st

from core.jobs.replies import Job
from dashboard import words
from foglab.show import duration

JOB_PAGE = "app_pages/job.py"
_WIDTHS = (300, 110, 190)
"""Pixels of name, status and times; what the job does takes the rest."""


def badge(job: Job) -> None:
    """The job's status in its colour."""
    status = words.status(job)
    st.badge(status, color=words.COLORS.get(status, "gray"))


def rows(jobs: Sequence[Job], key: str, waits: Mapping[str, str] | None = None) -> None:
    """One row a job, those of a pipeline in its order; the name leads to the job's page.

    `waits` says of queued jobs when they will start.
    """
    names = {job.id: words.kind(job.kind).lower() for job in jobs}
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.pipeline_id or job.id, []).append(job)
    with st.container(gap="xsmall", key=key):
        for group in groups.values():
            for job in sorted(group, key=_stage):
                _row(job, names, (waits or {}).get(job.id, ""), f"{key}-{job.id}")


def _row(job: Job, names: Mapping[str, str], wait: str, key: str) -> None:
    # One block and four elements: columns would cost twice as many, twenty times over on a page.
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=key):
        label = f"**{escaped(job.name)}**"
        st.page_link(JOB_PAGE, label=label, query_params={"id": job.id}, width=_WIDTHS[0])
        status = words.status(job)
        st.badge(status, color=words.COLORS.get(status, "gray"), width=_WIDTHS[1])
        if job.error:
            st.markdown(f":small[:red[{escaped(_first_line(job.error))}]]")
        elif job.status == "running":
            st.progress(words.share(job), words.progress(job, names))
        else:
            told = [] if job.ended else [words.progress(job, names) or "in the queue", wait]
            st.caption(" · ".join(t for t in told if t) or " ")
        st.caption(when(job), width=_WIDTHS[2])


def when(job: Job) -> str:
    spent = f"{duration(job.seconds)}" if job.seconds is not None else ""
    if job.ended and job.finished_at is not None:
        return f"{words.ago(job.finished_at)}" + (f", took {spent}" if spent else "")
    return f"for {spent}" if spent else f"queued {words.ago(job.created_at)}"


def pipeline(jobs: Sequence[Job], current: str | None = None) -> None:
    """The stages of a pipeline in order, each a link to its job."""
    stages = sorted(jobs, key=_stage)
    for job, column in zip(stages, st.columns(len(stages), gap="small"), strict=True):
        with column, st.container(border=True, height="stretch", key=f"stage-{job.id}"):
            name = f"**{words.kind(job.kind)}**"
            label = f":primary[{name}]" if job.id == current else name
            st.page_link(JOB_PAGE, label=label, query_params={"id": job.id})
            badge(job)
            if job.status == "running":
                st.progress(words.share(job))
            told = words.progress(job) if job.status == "running" else duration(job.seconds)
            if told:
                st.caption(told)


def line_name(stages: Sequence[Job]) -> str:
    """What the jobs of a pipeline are named after."""
    return min((job.name for job in stages), key=len).split(": ")[0]


def _stage(job: Job) -> int:
    return _ORDER.get(job.kind, len(_ORDER))


_ORDER = {kind: n for n, kind in enumerate(words.KINDS)}


def _first_line(text: str, most: int = 240) -> str:
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= most else f"{line[:most]}…"


def escaped(text: str) -> str:
    """Text of others without Markdown's powers."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#+!|~$:" else c for c in text)
