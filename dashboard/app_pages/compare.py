"""Runs side by side: their curves in one chart, where their specs differ, what came of them."""

from collections.abc import Sequence

import streamlit as st

from core.jobs.replies import Job
from dashboard import access, charts, compare, job_rows, words
from dashboard.live import Curves

MOST, MOST_CURVES = 6, 6


def draw() -> None:
    service = access.client()
    wanted = [i for i in st.query_params.get("runs", "").split(",") if i][:MOST]
    named = [service.job(i) for i in wanted]
    kinds = [k for k in words.KINDS if k not in words.DATA_KINDS]
    if named:
        st.session_state.setdefault("compare_kind", named[0].kind)
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    kind = left.selectbox("Kind", kinds, format_func=words.kind, key="compare_kind")
    known = {job.id: job for job in (*named, *service.jobs(kind=kind, limit=200))}
    known = {i: job for i, job in known.items() if job.kind == kind and job.status != "queued"}
    names = compare.labels(list(known.values()))
    chosen = right.multiselect(
        "Runs",
        list(known),
        default=[i for i in wanted if i in known],
        format_func=lambda i: f"{names[i]} · {words.ago(known[i].created_at)}",
        max_selections=MOST,
        placeholder="Choose two or more",
        key=f"compare-{kind}",
    )
    st.query_params["runs"] = ",".join(chosen)
    jobs = [known[i] for i in chosen]
    if len(jobs) < 2:
        st.info(
            "Choose runs of one kind to see them side by side.", icon=":material/compare_arrows:"
        )
        return
    st.header("What differs", anchor=False)
    _specs(jobs)
    st.header("Curves", anchor=False)
    live = any(not job.ended for job in jobs)
    access.live(_curves, 2.0 if live else None)(jobs)
    st.header("Results", anchor=False)
    rows = compare.result_rows(jobs)
    if rows:
        st.table(rows, border="horizontal")
        st.caption("Square brackets hold 95 % intervals.")
    else:
        st.caption("None of them has a result yet.")


def _specs(jobs: Sequence[Job]) -> None:
    everything = st.toggle("All fields", key="compare_all")
    rows = compare.spec_rows(jobs, all_fields=everything)
    if rows:
        st.table(rows, border="horizontal")
    else:
        st.caption("Their specs are the same.")
    with st.container(horizontal=True):
        for job in jobs:
            label = job_rows.escaped(compare.labels(jobs)[job.id])
            st.page_link(job_rows.JOB_PAGE, label=label, query_params={"id": job.id})


def _curves(jobs: Sequence[Job]) -> None:
    kept: dict[str, Curves] = st.session_state.get("compared", {})
    # Only runs that are looked at are kept, so that memory does not grow with every choice.
    kept = st.session_state["compared"] = {j.id: kept.get(j.id, Curves(j.id)) for j in jobs}
    for curves in kept.values():
        curves.read(access.client())
    metrics = sorted(
        {m for c in kept.values() for m in c.series}, key=lambda m: ("loss" not in m, m)
    )
    if not metrics:
        st.caption("None of them has written a metric.")
        return
    shown = st.multiselect("Metrics", metrics, default=metrics[:MOST_CURVES], key="compare_metrics")
    names = compare.labels(jobs)
    columns = st.columns(2)
    for n, metric in enumerate(shown):
        series = {names[i]: c.series[metric] for i, c in kept.items() if metric in c.series}
        columns[n % 2].plotly_chart(charts.overlaid(metric, series), key=f"overlaid-{metric}")


st.page_link("app_pages/jobs.py", label="All jobs", icon=":material/arrow_back:")
st.title("Compare runs", anchor=False)
draw()
