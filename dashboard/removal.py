"""A button that deletes, after a question that names all that goes with it."""

from collections.abc import Callable

import streamlit as st

from dashboard import access, lineage, words
from foglab.client import ServiceError
from foglab.lineage import products

MOST = 8


def button(artifact_id: str, name: str) -> None:
    """Opens the question; what it names is looked up when it is open."""
    if after_question(artifact_id, lambda: _ask(artifact_id, name)):
        st.query_params.clear()
        st.rerun()


def after_question(identifier: str, ask: Callable[[], Callable[[], object]]) -> bool:
    """The button and its question: `ask` draws it and returns what deletes. True once it is done.

    What the service refuses, as something needs it, is told in the question.
    """
    key = f"delete-{identifier}"
    place = st.popover("Delete", icon=":material/delete:", key=key, on_change="rerun")
    if not place.open:
        return False
    with place:
        delete = ask()
        if not st.button("Delete for good", type="primary", key=f"{key}-sure"):
            return False
        try:
            delete()
        except ServiceError as error:
            if error.status != 409:
                raise
            st.error(str(error), icon=":material/error:")
            return False
    return True


def _ask(artifact_id: str, name: str) -> Callable[[], object]:
    made = products(access.client().lineage_of(artifact_id), artifact_id)
    st.text(f"{name}\n{artifact_id}")
    if made:
        st.markdown(f"What was made of it goes too, {words.number(len(made))} in all:")
        st.text("\n".join(f"{lineage.what(n)}: {n.name} ({n.id})" for n in made[:MOST]))
        if len(made) > MOST:
            st.text(f"and {len(made) - MOST} more")
    st.caption("Curves and logs of the jobs stay. This cannot be taken back.")
    return lambda: access.client().delete(artifact_id, with_products=bool(made))
