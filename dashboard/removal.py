"""A button that deletes, after a question that names all that goes with it."""

import streamlit as st

from dashboard import access, lineage, words
from foglab.client import ServiceError
from foglab.lineage import products

MOST = 8


def button(artifact_id: str, name: str) -> None:
    """Opens the question; what it names is looked up when it is open."""
    key = f"delete-{artifact_id}"
    place = st.popover("Delete", icon=":material/delete:", key=key, on_change="rerun")
    if place.open:
        with place:
            _ask(artifact_id, name)


def _ask(artifact_id: str, name: str) -> None:
    made = products(access.client().lineage_of(artifact_id), artifact_id)
    st.text(f"{name}\n{artifact_id}")
    if made:
        st.markdown(f"What was made of it goes too, {words.number(len(made))} in all:")
        st.text("\n".join(f"{lineage.what(n)}: {n.name} ({n.id})" for n in made[:MOST]))
        if len(made) > MOST:
            st.text(f"and {len(made) - MOST} more")
    st.caption("Curves and logs of the jobs stay. This cannot be taken back.")
    if not st.button("Delete for good", type="primary", key=f"delete-{artifact_id}-sure"):
        return
    try:
        access.client().delete(artifact_id, with_products=bool(made))
    except ServiceError as error:
        if error.status != 409:
            raise
        st.error(str(error), icon=":material/error:")
    else:
        st.query_params.clear()
        st.rerun()
