"""Robot logs in, a look at what they hold, and a dataset of them."""

from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import access, form_widgets, forms, proposal, words
from dashboard.sender import sender
from foglab.client import ServiceError

_MADE = "uploads_made"
MOST = 500


def draw() -> None:
    # A new one after each dataset: what has become of a file is not told a second time.
    key = f"sender-{st.session_state.get(_MADE, 0)}"
    sent = sender(access.client().public_url, access.token(), key=key)
    if sent is not None:
        st.success(f"{sent.filename} has arrived as {sent.upload}.", icon=":material/check_circle:")
    earlier = _earlier()
    upload = earlier or (sent.upload if sent else "")
    asked_for = upload and st.button("Look inside", icon=":material/search:", key="look")
    if asked_for or (sent is not None and not proposal.looked(sent.upload)):
        proposal.look(upload)
    detection = proposal.found(upload) if upload else None
    described = forms.fields(access.client().specs()["kinds"]["ingest"])
    options = [f for f in described if f.name not in ("upload", "name")]
    if detection is not None:
        proposal.apply(detection, {f.name: f for f in options})
        proposal.draw(detection)
    wrong = st.session_state.get("ingest_wrong", {})
    with st.form("ingest"):
        name = st.text_input("Name of the dataset", key="name", placeholder="as the file")
        mapping = proposal.choose(detection) if detection is not None else {}
        with st.expander("Settings", icon=":material/tune:"):
            typed = form_widgets.draw(options, "ingest", {}, wrong)
        left, right = st.columns([1, 3])
        made = left.form_submit_button("Make a dataset", type="primary", key="make")
        again = detection is not None and right.form_submit_button(
            "Look again with these settings", icon=":material/search:", key="look_again"
        )
    form_widgets.draw_rest(typed, wrong)
    asked = proposal.merged(typed, mapping)
    if made or again:
        spec, wrong = forms.spec(options, asked)
        if again and not wrong:
            proposal.look(upload, spec)
            st.rerun()
        _submit(upload, name.strip() or _stem(upload), spec, wrong)


def _earlier() -> str | None:
    """The id of an upload that is there already, if one is chosen."""
    found = {u.id: u for u in access.client().uploads(limit=MOST)}
    if not found:
        return None

    def told(upload: str) -> str:
        one = found[upload]
        return f"{one.filename} · {words.size(one.size)} · {words.ago(one.created_at)} · {one.id}"

    return st.selectbox(
        "Or an earlier upload",
        list(found),
        index=None,
        format_func=told,
        placeholder="the file chosen above",
        key="upload_id",
    )


def _stem(upload: str) -> str:
    return Path(access.client().get_upload(upload).filename).stem if upload else ""


def _submit(upload: str, name: str, spec: dict[str, Any], wrong: dict[str, str]) -> None:
    if not upload:
        st.error("Choose a file, and wait until it has arrived.", icon=":material/error:")
        return
    if not wrong:
        try:
            job = access.client().ingest(upload, name, **spec)
        except ServiceError as error:
            if error.status == 401:
                raise
            wrong = dict(access.field_messages(error)) or {"": str(error)}
        else:
            st.session_state.pop("ingest_wrong", None)
            st.session_state[_MADE] = st.session_state.get(_MADE, 0) + 1
            st.switch_page("app_pages/job.py", query_params={"id": job.id})
    if wrong != st.session_state.get("ingest_wrong"):
        # Drawn at the fields, so from the top.
        st.session_state["ingest_wrong"] = wrong
        st.rerun()


st.title("Upload", anchor=False)
draw()
with st.expander("From the command line", icon=":material/terminal:"):
    st.code('foglab upload logs.zip --name "my robot"', language="bash")
    st.caption("It sends folders too, and makes the dataset when all has arrived.")
st.page_link("app_pages/formats.py", label="Formats that are read", icon=":material/menu_book:")
