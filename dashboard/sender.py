"""Uploads that go straight from the browser to the API, past this process."""

from pathlib import Path
from typing import NamedTuple

import streamlit as st

_HERE = Path(__file__).parent
_SENDER = st.components.v2.component(
    "foglab_sender",
    html="""
    <div class="sender">
      <label class="drop">
        <input type="file" aria-label="Logs">
        <b>Choose a file</b> or drop it here
        <small>Of any size; a cut upload goes on where it stopped when the same file is chosen
        again.</small>
      </label>
      <div class="row">
        <progress max="100" value="0" hidden aria-label="Sent"></progress>
        <span class="told" role="status"></span>
        <button type="button" class="stop" hidden></button>
      </div>
    </div>
    """,
    css=(_HERE / "sender.css").read_text(),
    js=(_HERE / "sender.js").read_text(),
)


class Sent(NamedTuple):
    """A file that has arrived."""

    upload: str
    filename: str


def sender(api: str, token: str, key: str) -> Sent | None:
    """Draw it; the file that was sent, once all of it has arrived. `api` as the browser sees it."""
    result = _SENDER(data={"api": api, "token": token}, key=key, on_sent_change=lambda: None)
    sent = result.get("sent")
    return Sent(sent["id"], sent["name"]) if sent else None
