"""Robot logs in: small files through this page, large ones from the command line."""

import tempfile
from pathlib import Path

import streamlit as st

from core.jobs.replies import Job
from dashboard import access, form_widgets, forms, words
from foglab.client import ServiceError

MOST_MB = 200
FORMATS = """
**npz**: a zip (or one file) of episodes; each has `image` (T+1, H, W, 3) uint8, `action` (T, A),
and, if there are, `reward` (T), `state`, `terminated`, `success`.
**zarr**: a diffusion-policy store, as a zip of its folder.
"""


def draw() -> None:
    described = forms.fields(access.client().specs()["kinds"]["ingest"])
    options = [f for f in described if f.name not in ("upload", "name")]
    with st.form("upload"):
        file = st.file_uploader(
            f"Logs, up to {MOST_MB} MB", type=["zip", "npz"], max_upload_size=MOST_MB, key="file"
        )
        left, right = st.columns(2)
        upload_id = left.text_input(
            "Or the id of a finished upload",
            key="upload_id",
            placeholder="up_…",
            help="`foglab upload` prints it",
        )
        name = right.text_input("Name of the dataset", key="name", placeholder="as the file")
        with st.expander("Settings", icon=":material/tune:"):
            typed = form_widgets.draw(
                options, "ingest", {}, st.session_state.get("ingest_wrong", {})
            )
        sent = st.form_submit_button("Make a dataset", type="primary", key="make")
    if sent:
        _submit(file, upload_id.strip(), name.strip(), options, typed)


def _submit(
    file: object, upload_id: str, name: str, options: list[forms.Field], typed: dict[str, object]
) -> None:
    spec, wrong = forms.spec(options, typed)
    st.session_state["ingest_wrong"] = wrong
    if wrong:
        st.rerun()
    if file is None and not upload_id:
        st.error("Choose a file, or give the id of a finished upload.")
        return
    filename = getattr(file, "name", "")
    try:
        upload = upload_id or _send(filename, file.getvalue())  # type: ignore[attr-defined]
        job = access.client().ingest(upload, name or Path(filename).stem or upload, **spec)
    except ServiceError as error:
        st.session_state["ingest_wrong"] = access.field_messages(error)
        st.error(str(error), icon=":material/error:")
        return
    _open(job)


def _send(filename: str, content: bytes) -> str:
    bar = st.progress(0.0, f"Sending {filename}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(filename).name
        path.write_bytes(content)

        def sent(done: int, total: int) -> None:
            bar.progress(done / max(total, 1), f"{words.size(done)} of {words.size(total)}")

        return access.client().upload(path, progress=sent).id


def _open(job: Job) -> None:
    st.switch_page("app_pages/jobs.py", query_params={"job": job.id})


st.title("Upload", anchor=False)
draw()
with st.expander("Large files", icon=":material/terminal:", expanded=True):
    st.write("The command line sends files of any size, and goes on after a cut connection:")
    st.code('foglab upload logs.zip --name "my robot"', language="bash")
with st.expander("Formats", icon=":material/folder_zip:"):
    st.markdown(FORMATS)
