"""All jobs, live."""

import streamlit as st

from dashboard import access, job_rows, words

SHOWN = {
    "All": None,
    "Running": "running",
    "Queued": "queued",
    "Failed": "failed",
    "Done": "succeeded",
}
MOST = 30


def draw() -> None:
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    shown = left.segmented_control("Show", list(SHOWN), default="All", key="shown", required=True)
    kind = right.selectbox(
        "Kind",
        [None, *words.KINDS],
        format_func=lambda k: words.KINDS.get(k, "all"),
        key="kind_shown",
    )
    access.live(_list, 2.0)(SHOWN[shown], kind)


def _list(status: str | None, kind: str | None) -> None:
    jobs = access.client().jobs(status=status, kind=kind, limit=MOST)
    if not jobs:
        if status or kind:
            st.info("No job is like that.", icon=":material/filter_alt_off:")
            return
        st.info("Nothing was queued yet.", icon=":material/list_alt:")
        st.page_link("app_pages/train.py", label="Train something", icon=":material/rocket_launch:")
        return
    job_rows.rows(jobs, "jobs")
    if len(jobs) == MOST:
        st.caption(f"The {MOST} newest are shown; `foglab jobs --limit 500` lists more.")


st.title("Jobs", anchor=False)
draw()
