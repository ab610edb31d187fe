"""Jobs as rows, and a pipeline as the chain of its stages."""

from collections.abc import Mapping, Sequence

import streamlit as st

from core.jobs.replies import Job
from dashboard import words
from foglab.show import duration

JOB_PAGE = "app_pages/job.py"
_WIDTHS = [3, 1.4, 4, 1.6]


def badge(job: Job) -> None:
    """The job's status in its colour."""
    status = words.status(job)
    st.badge(status, color=words.COLORS.get(status, "gray"))


def rows(jobs: Sequence[Job]) -> None:
    """One row a job: its name leads to its page."""
    names = {job.id: job.name for job in jobs}
    for job in jobs:
        with st.container(border=True, key=f"row-{job.id}"):
            _row(job, names)


def _row(job: Job, names: Mapping[str, str]) -> None:
    name, status, doing, times = st.columns(_WIDTHS, vertical_alignment="center")
    with name:
        st.page_link(JOB_PAGE, label=f"**{escaped(job.name)}**", query_params={"id": job.id})
    with status:
        badge(job)
    with doing:
        if job.error:
            st.caption(f":red[{escaped(_first_line(job.error))}]")
        elif job.status == "running":
            st.progress(words.share(job), words.progress(job, names))
        elif not job.ended:
            st.caption(words.progress(job, names) or "in the queue")
    times.caption(when(job))


def when(job: Job) -> str:
    spent = f"{duration(job.seconds)}" if job.seconds is not None else ""
    if job.ended and job.finished_at is not None:
        return f"{words.ago(job.finished_at)}" + (f", took {spent}" if spent else "")
    return f"for {spent}" if spent else f"since {words.ago(job.created_at)}"


def pipeline(jobs: Sequence[Job], current: str | None = None) -> None:
    """The stages of a pipeline in order, each a link to its job."""
    stages = sorted(jobs, key=lambda job: _ORDER.get(job.kind, len(_ORDER)))
    for job, column in zip(stages, st.columns(len(stages), gap="small"), strict=True):
        with column, st.container(border=True, height="stretch", key=f"stage-{job.id}"):
            mark = " ◂" if job.id == current else ""
            label = f"**{words.kind(job.kind)}**{mark}"
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


_ORDER = {kind: n for n, kind in enumerate(words.KINDS)}


def _first_line(text: str, most: int = 240) -> str:
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= most else f"{line[:most]}…"


def escaped(text: str) -> str:
    """Text of others without Markdown's powers."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#+!|~$:" else c for c in text)
