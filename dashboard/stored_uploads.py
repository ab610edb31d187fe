"""Finished uploads that take up room, the largest first, each with a button that removes it."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from core.jobs.replies import StoredUpload
from dashboard import access, removal, words

MOST = 20


def draw() -> None:
    """Datasets hold all that they need: an upload whose dataset is good only takes up room."""
    st.subheader("Uploads")
    found = sorted(access.client().uploads(limit=500), key=lambda u: -u.size)
    if not found:
        st.caption("None is kept.")
        return
    st.caption(
        "The files as they came. Datasets that were made of them stay without them; only to read "
        "the logs again in another way, they have to be uploaded again."
    )
    for upload in found[:MOST]:
        name, size, when, button = st.columns([5, 1.5, 2, 1.5], vertical_alignment="center")
        name.text(upload.filename)
        name.caption(upload.id)
        size.text(words.size(upload.size))
        when.text(words.ago(upload.created_at))
        with button:
            if removal.after_question(upload.id, partial(_ask, upload)):
                st.rerun()
    if len(found) > MOST:
        left = words.number(len(found) - MOST)
        st.caption(f"and {left} smaller ones: `foglab uploads` lists all")


def _ask(upload: StoredUpload) -> Callable[[], object]:
    st.text(f"{upload.filename}\n{words.size(upload.size)} become free.")
    st.caption("Datasets stay. This cannot be taken back.")
    return lambda: access.client().delete_upload(upload.id)
