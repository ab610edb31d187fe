"""All jobs, live, page by page."""

import streamlit as st

from dashboard import access, costs, job_rows, words

SHOWN = {
    "All": None,
    "Running": "running",
    "Queued": "queued",
    "Failed": "failed",
    "Done": "succeeded",
}
A_PAGE = 20
_CURSORS = "job_cursors"


def draw() -> None:
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    shown = left.segmented_control(
        "Show", list(SHOWN), default="All", key="shown", required=True, on_change=_first
    )
    kind = right.selectbox(
        "Kind",
        [None, *words.KINDS],
        format_func=lambda k: words.KINDS.get(k, "all"),
        key="kind_shown",
        on_change=_first,
    )
    access.live(_list, 2.0)(SHOWN[shown], kind)


def _list(status: str | None, kind: str | None) -> None:
    service = access.client()
    cursors: list[int] = st.session_state.setdefault(_CURSORS, [])
    cursor = cursors[-1] if cursors else None
    jobs, following = service.job_page(status=status, kind=kind, cursor=cursor, limit=A_PAGE)
    if not jobs and not cursors:
        if status or kind:
            st.info("No job is like that.", icon=":material/filter_alt_off:")
            return
        st.info(
            "Nothing was queued yet. Uploading logs, training and judging are all jobs; each has a "
            "page with its progress, curves and log.",
            icon=":material/list_alt:",
        )
        st.page_link("app_pages/train.py", label="Train something", icon=":material/rocket_launch:")
        return
    waits = {}
    if any(job.status == "queued" for job in jobs):
        active = [j for s in ("running", "queued") for j in service.jobs(status=s, limit=200)]
        waits = {i: costs.waiting(w) for i, w in costs.starts(active).items()}
    job_rows.rows(jobs, "jobs", waits)
    _turn(cursors, following)


def _turn(cursors: list[int], following: int | None) -> None:
    if not cursors and following is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="pages"):
        st.button(
            "Newer",
            icon=":material/chevron_left:",
            key="newer",
            disabled=not cursors,
            on_click=_back,
        )
        st.caption(f"Page {len(cursors) + 1}")
        st.button(
            "Older",
            icon=":material/chevron_right:",
            key="older",
            disabled=following is None,
            on_click=cursors.append,
            args=(following,),
        )


def _back() -> None:
    st.session_state[_CURSORS] = st.session_state[_CURSORS][:-1]


def _first() -> None:
    st.session_state[_CURSORS] = []


left, right = st.columns([3, 1], vertical_alignment="center")
left.title("Jobs", anchor=False)
right.page_link("app_pages/compare.py", label="Compare runs", icon=":material/compare_arrows:")
draw()
