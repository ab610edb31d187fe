"""One job, live: its progress, its line, its curves, result, log and spec."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from core.jobs.replies import Job
from dashboard import access, charts, costs, job_rows, results, words
from dashboard.live import Curves
from dashboard.tabs import tabs
from foglab.client import ServiceError

MOST_CURVES = 8


def draw(job_id: str) -> None:
    job = access.client().job(job_id)
    st.title(job.name, anchor=False)
    # A job that has ended changes only by a retry, which redraws the page.
    access.live(_head, None if job.ended else 1.0)(job_id, job.ended)
    access.live(_curves, None if job.ended else 1.0)(job_id)
    sections = {
        "Result": lambda: _result(job),
        "Log": lambda: access.live(_log, None if job.ended else 2.0)(job_id),
        "Spec": lambda: _spec(job),
    }
    tabs(sections, key="job_tabs")


def _head(job_id: str, was_ended: bool) -> None:
    service = access.client()
    job = service.job(job_id)
    state, buttons = st.columns([3, 2], vertical_alignment="center")
    with state, st.container(horizontal=True, vertical_alignment="center"):
        job_rows.badge(job)
        st.markdown(f"{words.kind(job.kind)} · {job_rows.when(job)}")
    with buttons, st.container(horizontal=True, horizontal_alignment="right"):
        _buttons(job)
    if job.status == "running":
        st.progress(words.share(job), words.progress(job))
    elif job.status == "queued":
        told = words.progress(job, _names(job)) or "In the queue: it starts when a worker is free."
        st.caption(" · ".join(t for t in (told, _wait(job)) if t))
    if job.error:
        st.error(job.error, icon=":material/error:")
    if job.pipeline_id:
        job_rows.pipeline(service.jobs(pipeline=job.pipeline_id), job.id)
    if job.ended and not was_ended:
        st.rerun()  # the whole page, so that result and log are drawn as they are at the end


def _buttons(job: Job) -> None:
    service = access.client()
    if job.status == "succeeded" and job.output_id and (page := _PAGES.get(job.kind)):
        st.page_link(page[0], label=page[1], query_params={page[2]: job.output_id})
    if not job.ended and not job.cancel_requested:
        _act("Cancel", ":material/cancel:", lambda: service.cancel(job.id))
    if job.status in ("failed", "cancelled"):
        _act("Try again", ":material/replay:", lambda: service.retry(job.id), _RESUMES)
    if job.kind not in words.DATA_KINDS:
        st.page_link(
            "app_pages/train.py",
            label="Clone with changes",
            icon=":material/content_copy:",
            query_params={"clone": job.id},
        )
        st.page_link(
            "app_pages/compare.py",
            label="Compare",
            icon=":material/compare_arrows:",
            query_params={"runs": job.id},
        )


_PAGES = {
    "ingest": ("app_pages/datasets.py", "Open the dataset", "dataset"),
    "derive": ("app_pages/datasets.py", "Open the dataset", "dataset"),
    "global_model": ("app_pages/models.py", "Open the model", "model"),
    "local_model": ("app_pages/models.py", "Open the model", "model"),
    "policy": ("app_pages/models.py", "Open the policy", "model"),
    "rollout": ("app_pages/rollouts.py", "Watch the rollouts", "rollout"),
}


_RESUMES = "It goes on from its last checkpoint, and ends as if it had never stopped"


def _act(label: str, icon: str, action: Callable[[], Any], about: str | None = None) -> None:
    if st.button(label, icon=icon, key=label, help=about):
        try:
            action()
        except ServiceError as error:
            st.error(str(error), icon=":material/error:")
            return
        st.rerun()


def _wait(job: Job) -> str:
    service = access.client()
    active = [j for s in ("running", "queued") for j in service.jobs(status=s, limit=200)]
    return costs.waiting(costs.starts(active).get(job.id))


def _names(job: Job) -> dict[str, str]:
    if not job.waiting_for or not job.pipeline_id:
        return {}
    return {j.id: j.name for j in access.client().jobs(pipeline=job.pipeline_id)}


def _curves(job_id: str) -> None:
    curves = st.session_state.get("curves")
    if not isinstance(curves, Curves) or curves.job_id != job_id:
        # Only the run that is looked at is kept, so that memory does not grow with every page.
        curves = st.session_state["curves"] = Curves(job_id)
    curves.read(access.client())
    if not curves.series:
        return
    figures = _figures(curves)
    st.header("Curves", anchor=False)
    names = sorted(curves.series, key=lambda name: ("loss" not in name, name))
    shown = names
    if len(names) > MOST_CURVES:
        shown = st.multiselect("Metrics", names, default=names[:MOST_CURVES], key="metrics")
    columns = st.columns(2)
    for n, name in enumerate(shown):
        columns[n % 2].plotly_chart(
            figures[name], key=f"curve-{name}", config={"displaylogo": False}
        )


def _figures(curves: Curves) -> dict[str, Any]:
    """Drawn anew when there is something new: a figure costs more than asking for news."""
    state = (curves.job_id, curves.lines, curves.newest)
    known: Any
    figures: dict[str, Any]
    known, figures = st.session_state.get("figures", (None, {}))
    if known != state:
        figures = {name: charts.curve(name, series) for name, series in curves.series.items()}
        st.session_state["figures"] = (state, figures)
    return figures


def _result(job: Job) -> None:
    if job.result:
        results.draw(job.result)
    else:
        st.caption("There is none until the job has succeeded.")


def _spec(job: Job) -> None:
    st.json(job.spec)
    parts = [f"Job {job.id}", f"makes {job.output_id}", f"attempt {job.attempt}"]
    if job.cost is not None:
        parts.append(f"{words.size(job.cost.peak_memory_bytes)} of memory at its peak")
        if job.cost.gpu_memory_bytes:
            parts.append(f"{words.size(job.cost.gpu_memory_bytes)} of GPU memory")
        parts.append(f"{words.size(job.cost.disk_bytes)} on disk")
    st.caption(" · ".join(parts))


def _log(job_id: str) -> None:
    text = access.client().log(job_id, tail=200)
    if not text:
        st.caption("Nothing was written yet.")
        return
    st.code(text, language=None, height=420)


st.page_link("app_pages/jobs.py", label="All jobs", icon=":material/arrow_back:")
chosen = st.query_params.get("id")
if chosen:
    draw(chosen)
else:
    st.title("Job", anchor=False)
    st.info("The address names no job: choose one from the list.", icon=":material/list_alt:")
