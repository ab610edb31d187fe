"""Addresses that are told of ended jobs: add one, try it, see what it was told."""

import streamlit as st

from core.jobs.replies import Delivery, Webhook
from dashboard import access, job_rows, words
from foglab.client import ServiceError

STATES = {"delivered": "green", "pending": "orange", "given_up": "red"}
SHOWN = 20


def draw() -> None:
    service = access.client()
    made = st.session_state.pop("made_webhook", None)
    if made:
        st.success("Its secret, which signs what it is told, is shown once: copy it now.")
        st.code(made, language=None)
    with st.form("new_webhook", clear_on_submit=True):
        left, right = st.columns([4, 1], vertical_alignment="bottom")
        url = left.text_input(
            "Address to tell of every ended job", placeholder="https://…", key="webhook_url"
        )
        if right.form_submit_button("Add", type="primary", key="webhook_add"):
            _add(url.strip())
    hooks = service.webhooks()
    if not hooks:
        st.info("No address yet. It gets a signed POST when a job ends.", icon=":material/webhook:")
    for hook in hooks:
        with st.container(border=True, key=f"webhook-{hook.id}"):
            _one(hook)


def _add(url: str) -> None:
    try:
        st.session_state["made_webhook"] = access.client().add_webhook(url).secret
    except ServiceError as error:
        if error.status != 422:
            raise
        st.error(str(error), icon=":material/error:")
    else:
        st.rerun()


def _one(hook: Webhook) -> None:
    service = access.client()
    name, test, remove = st.columns([5, 1.3, 1.3], vertical_alignment="center")
    name.markdown(f"**{job_rows.escaped(hook.url)}**")
    if test.button("Test", icon=":material/send:", key=f"test-{hook.id}", help="Tell it something"):
        service.test_webhook(hook.id)
    if remove.button("Remove", icon=":material/delete:", key=f"remove-{hook.id}"):
        service.remove_webhook(hook.id)
        st.rerun()
    access.live(lambda: _told(hook), 2.0)()


def _told(hook: Webhook) -> None:
    for delivery in access.client().deliveries(hook.id, SHOWN):
        state, what, again = st.columns([1.2, 5, 1.3], vertical_alignment="center")
        state.badge(words.sentence(delivery.state), color=STATES[delivery.state])  # type: ignore[arg-type]
        what.caption(_line(delivery))
        ended = delivery.state != "pending"
        if ended and again.button("Send again", key=f"again-{delivery.id}", type="tertiary"):
            access.client().resend(hook.id, delivery.id)
            st.rerun(scope="fragment")


def _line(delivery: Delivery) -> str:
    parts = [delivery.event, delivery.job_id, words.ago(delivery.created_at)]
    if delivery.error:
        parts.append(f"try {delivery.attempt}: {job_rows.escaped(delivery.error)}")
    return " · ".join(p for p in parts if p)
