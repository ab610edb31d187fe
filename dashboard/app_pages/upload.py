"""Robot logs in, and a dataset of them."""

from pathlib import Path

import streamlit as st

from dashboard import access, form_widgets, forms
from dashboard.sender import Sent, sender
from foglab.client import ServiceError

FORMATS = """
**npz**: a zip (or one file) of episodes; each has `image` (T+1, H, W, 3) uint8, `action` (T, A),
and, if there are, `reward` (T), `state`, `terminated`, `success`.

**zarr**: a diffusion-policy store, as a zip of its folder.
"""


def draw() -> None:
    sent = sender(access.client().public_url, access.token(), key="sender")
    if sent is not None:
        st.success(f"{sent.filename} has arrived as {sent.upload}.", icon=":material/check_circle:")
    described = forms.fields(access.client().specs()["kinds"]["ingest"])
    options = [f for f in described if f.name not in ("upload", "name")]
    wrong = st.session_state.get("ingest_wrong", {})
    with st.form("ingest"):
        left, right = st.columns(2)
        name = left.text_input("Name of the dataset", key="name", placeholder="as the file")
        typed_id = right.text_input(
            "Upload",
            key="upload_id",
            placeholder=sent.upload if sent else "the file chosen above",
            help="Or the id of an earlier upload: `foglab upload` prints it",
        )
        with st.expander("Settings", icon=":material/tune:"):
            typed = form_widgets.draw(options, "ingest", {}, wrong)
        made = st.form_submit_button("Make a dataset", type="primary", key="make")
    form_widgets.draw_rest(typed, wrong)
    if made:
        _submit(sent, typed_id.strip(), name.strip(), options, typed)


def _submit(
    sent: Sent | None,
    typed_id: str,
    name: str,
    options: list[forms.Field],
    typed: dict[str, object],
) -> None:
    upload = typed_id or (sent.upload if sent else "")
    if not upload:
        st.error("Choose a file, and wait until it has arrived.", icon=":material/error:")
        return
    spec, wrong = forms.spec(options, typed)
    if not wrong:
        filename = sent.filename if sent and not typed_id else upload
        try:
            job = access.client().ingest(upload, name or Path(filename).stem, **spec)
        except ServiceError as error:
            if error.status == 401:
                raise
            wrong = dict(access.field_messages(error)) or {"": str(error)}
        else:
            st.session_state.pop("ingest_wrong", None)
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
with st.expander("Formats", icon=":material/folder_zip:"):
    st.markdown(FORMATS)
