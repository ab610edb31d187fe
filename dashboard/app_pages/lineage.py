"""From the robot's logs to the policy: what was made of what, and how to make it again."""

import streamlit as st

from core.jobs.replies import LineageNode
from dashboard import access, job_rows, lineage, words
from foglab.client import ServiceError


def draw() -> None:
    service = access.client()
    st.caption("Logs → dataset → models → policy → rollouts. Every artifact names what it is of.")
    found = _known()
    if not found:
        st.info(
            "Nothing was made yet. A lineage starts with uploaded logs.",
            icon=":material/account_tree:",
        )
        st.page_link("app_pages/upload.py", label="Upload logs", icon=":material/upload:")
        return
    if st.query_params.get("of") not in found:
        st.query_params.pop("of", None)
    chosen = st.selectbox(
        "Artifact", list(found), format_func=found.__getitem__, key="of", bind="query-params"
    )
    nodes = service.lineage_of(chosen)
    with st.container(border=True, key="graph"):
        st.html(lineage.drawing(nodes, chosen))
    current = next(n for n in nodes if n.id == chosen)
    _links(current)
    st.dataframe(
        lineage.rows(nodes),
        hide_index=True,
        column_config={
            "SHA-256 of the logs": st.column_config.TextColumn(width="medium"),
            "Page": st.column_config.LinkColumn(display_text="open"),
        },
        key="lineage_rows",
    )


def _known() -> dict[str, str]:
    """Newest of each kind first, with labels."""
    service = access.client()
    models = service.models(limit=200)
    rollouts, datasets = service.rollouts(limit=100), service.datasets(limit=100)
    by_kind = [
        [m for m in models if m.kind == k] for k in ("policy", "global_model", "local_model")
    ]
    labels = {m.id: f"{words.kind(m.kind)} · {m.name} · {m.id}" for group in by_kind for m in group}
    labels |= {r.id: f"Rollouts · {r.name} · {r.id}" for r in rollouts}
    return labels | {d.id: f"Dataset · {d.name} · {d.id}" for d in datasets}


def _links(current: LineageNode) -> None:
    if current.job_id is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(
            job_rows.JOB_PAGE,
            label="Job that made it",
            icon=":material/list_alt:",
            query_params={"id": current.job_id},
        )
        again = st.button(
            "Run again with the same seed",
            icon=":material/replay:",
            key="again",
            help="A new job with the same spec and inputs: on one machine the same weights",
        )
    if again:
        _again(current.job_id)


def _again(job_id: str) -> None:
    service = access.client()
    before = service.job(job_id)
    try:
        job = service.submit(before.kind, before.spec, name=f"{before.name[:110]} (again)")
    except ServiceError as error:
        if error.status == 401:
            raise
        st.error(str(error), icon=":material/error:")
        return
    st.switch_page(job_rows.JOB_PAGE, query_params={"id": job.id})


st.title("Lineage", anchor=False)
draw()
