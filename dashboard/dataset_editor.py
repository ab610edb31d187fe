"""The form that makes a new dataset of a dataset: the old one stays as it is."""

from collections.abc import Sequence

import streamlit as st

from core.jobs.replies import Dataset, Episode
from dashboard import access, choices, dataset_edits, words
from foglab.client import ServiceError

_FIXED = ("Episode", "Frames", "Split", "Source")


def draw(dataset: Dataset, episodes: Sequence[Episode]) -> None:
    """Edit, and queue a job of kind `derive`."""
    st.caption(
        "Datasets never change, because models name what they learnt from: this makes a new one. "
        "Frames count from 0, and -1 is the last one. Under *Solved from* stands the frame from "
        "which the task is solved, or never; under *Cut at* the frames at which a new episode "
        "starts; under *Goal frames* those that show what a policy is to bring about."
    )
    others = [d for d in access.client().datasets(limit=500) if d.id != dataset.id]
    labels = {d.id: choices.label(d) for d in others}
    before = dataset_edits.rows(episodes)
    with st.form(f"edit-{dataset.id}"):
        edited = st.data_editor(
            before,
            hide_index=True,
            disabled=_FIXED,
            key=f"episodes-{dataset.id}",
            height=min(420, 40 + 35 * len(before)),
        )
        left, right = st.columns(2)
        name = left.text_input("Name", f"{dataset.name[:110]} (edited)", key="derive_name")
        merged = right.multiselect(
            "Put episodes of these behind",
            list(labels),
            format_func=labels.__getitem__,
            key="derive_merge",
        )
        if not st.form_submit_button("Make a new dataset", type="primary", key="derive"):
            return
    try:
        spec = dataset_edits.spec(before, edited)
        job = access.client().derive(dataset.id, name, merge=merged, **spec)
    except ValueError as error:
        st.error(str(error), icon=":material/error:")
    except ServiceError as error:
        if error.status == 401:
            raise
        told = access.field_messages(error) or {"": str(error)}
        for field, text in told.items():
            at = f"{words.sentence(field)}: " if field else ""
            st.error(f"{at}{text}", icon=":material/error:")
    else:
        st.switch_page("app_pages/job.py", query_params={"id": job.id})
