"""For whoever runs a project: tokens, webhooks, workers, and what takes up the disk."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from core.jobs.replies import Storage, Token, Worker
from dashboard import access, charts, job_rows, stored_uploads, webhooks, words
from dashboard.tabs import tabs
from foglab.client import ServiceError

SCOPES = {
    "read": "look at everything",
    "write": "also upload, train, cancel",
    "admin": "also tokens, workers and storage",
}


def draw() -> None:
    try:
        access.client().storage()
    except ServiceError as error:
        if error.status != 403:
            raise
        st.info(
            "This page needs a token with the scope *admin*: "
            "`foglab token create NAME --scope admin` makes one.",
            icon=":material/lock:",
        )
        return
    sections = {"Workers": _workers, "Storage": _storage, "Tokens": _tokens}
    tabs({**sections, "Webhooks": webhooks.draw}, key="admin_tabs")


def _workers() -> None:
    access.live(_worker_list, 2.0)()


def _worker_list() -> None:
    workers = sorted(access.client().workers(), key=lambda w: (not w.alive, w.id))
    if not any(w.alive for w in workers):
        st.warning(
            "No worker is there, so nothing in the queue will start. `foglab up` starts workers "
            "with the service; on another machine, start the worker's container.",
            icon=":material/engineering:",
        )
    for worker in workers:
        with st.container(border=True, key=f"worker-{worker.id}"):
            _worker(worker)


def _worker(worker: Worker) -> None:
    name, state, doing = st.columns([3, 1.4, 4], vertical_alignment="center")
    name.markdown(f"**{job_rows.escaped(worker.id)}**")
    name.caption(f"Queues: {', '.join(worker.queues)}")
    with state:
        if worker.alive:
            text, color = ("busy", "blue") if worker.busy else ("free", "green")
            st.badge(text, color=color)  # type: ignore[arg-type]
        else:
            st.badge("gone", color="gray")
    with doing:
        if worker.job_id:
            st.page_link(job_rows.JOB_PAGE, label=worker.job_id, query_params={"id": worker.job_id})
        for gpu in worker.gpus:
            told = f"{words.size(gpu['memory_used'])} of {words.size(gpu['memory_total'])}"
            st.progress(float(gpu["use"]), f"GPU {gpu['index']} {gpu['name']}: {told}")
        st.caption(f"Seen {words.ago(worker.seen_at)}, up since {words.ago(worker.started_at)}")


def _storage() -> None:
    found: Storage = access.client().storage()
    quota = found.upload_quota_bytes
    figures = {
        "Stored": words.size(found.total_bytes),
        "Free on the disk": words.size(found.free_bytes),
        "Disk": words.size(found.disk_bytes),
        "Uploads": words.size(found.uploaded_bytes) + (f" of {words.size(quota)}" if quota else ""),
    }
    with st.container(horizontal=True, gap="large"):
        for name, value in figures.items():
            st.metric(name, value, width="content")
    if found.free_bytes < 0.05 * found.disk_bytes:
        st.warning("Less than 5 % of the disk is free.", icon=":material/hard_drive:")
    kinds = dict(sorted(found.kinds.items(), key=lambda item: -item[1]))
    if any(kinds.values()):
        rows = {name: (size / 1e6, None) for name, size in kinds.items()}
        st.plotly_chart(charts.bars("MB by kind", rows, height=60 + 32 * len(rows)), key="storage")
    stored_uploads.draw()


def _tokens() -> None:
    service = access.client()
    made = st.session_state.pop("made_token", None)
    if made:
        st.success(f"Token *{job_rows.escaped(made[0])}*, shown once: copy it now.")
        st.code(made[1], language=None)
    with st.form("new_token", clear_on_submit=True):
        left, middle, right = st.columns([3, 2, 1], vertical_alignment="bottom")
        name = left.text_input("Who it is for", key="token_name")
        scope = middle.selectbox(
            "May",
            list(SCOPES),
            format_func=lambda s: f"{s}: {SCOPES[s]}",
            index=1,
            key="token_scope",
        )
        days = right.number_input("Days", min_value=1, value=None, placeholder="for ever")
        if st.form_submit_button("Make a token", type="primary", key="token_make"):
            _make(name.strip(), scope, days)
    found = service.tokens()
    valid = [t for t in found if _valid(t)]
    st.dataframe(_rows(found), hide_index=True, key="tokens")
    labels = {t.id: f"{t.name} · {t.id}" for t in valid}
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    chosen = left.selectbox(
        "Revoke", list(labels), index=None, format_func=labels.__getitem__, key="token_revoke"
    )
    if right.button("Revoke", icon=":material/block:", disabled=chosen is None, key="revoke"):
        service.revoke_token(str(chosen))
        st.rerun()


def _make(name: str, scope: str, days: float | None) -> None:
    if not name:
        st.error("Say who the token is for.", icon=":material/error:")
        return
    made = access.client().create_token(name, scopes=[scope], days=days)
    st.session_state["made_token"] = (name, made.secret)
    st.rerun()


def _valid(token: Token) -> bool:
    expired = token.expires_at is not None and token.expires_at <= datetime.now(UTC)
    return token.revoked_at is None and not expired


def _rows(tokens: Sequence[Token]) -> list[dict[str, Any]]:
    return [
        {
            "Name": t.name,
            "Scopes": ", ".join(t.scopes),
            "Made": f"{t.created_at:%Y-%m-%d}",
            "Expires": f"{t.expires_at:%Y-%m-%d}" if t.expires_at else "never",
            "State": "valid" if _valid(t) else "revoked" if t.revoked_at else "expired",
            "Id": t.id,
        }
        for t in tokens
    ]


st.title("Admin", anchor=False)
draw()
