"""Datasets, models and rollouts to pick from, labelled so that people can tell them apart."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import streamlit as st

from core.jobs.replies import Dataset, Model, Rollout
from dashboard import words
from foglab.client import ServiceClient

Artifacts = Mapping[str, Mapping[str, str]]
"""Spec field to the ids it may hold, with their labels."""
T = TypeVar("T", bound=Dataset | Model | Rollout)


def label(artifact: Dataset | Model | Rollout) -> str:
    """Name and size or age; the id tells two of a name apart."""
    if isinstance(artifact, Dataset):
        about = f"{words.number(artifact.episodes)} episodes"
    else:
        about = words.ago(artifact.created_at)
    return f"{artifact.name} · {about} · {artifact.id}"


@st.cache_data(scope="session", ttl=5, show_spinner=False)
def artifacts(_service: ServiceClient) -> Artifacts:
    """Spec field to the ids it may hold, newest first, with their labels; kept for 5 s."""
    service = _service
    models = service.models(limit=500)
    found = {"dataset": {d.id: label(d) for d in service.datasets(limit=500)}}
    for kind in ("global_model", "local_model", "policy"):
        found[kind] = {m.id: label(m) for m in models if m.kind == kind}
    return found


def pick(title: str, items: Sequence[T], key: str) -> T:
    """A select box over the items, kept in the page's address as `?key=id`."""
    by_id: dict[str, T] = {item.id: item for item in items}
    if st.query_params.get(key) not in by_id:
        st.query_params.pop(key, None)
    ids = list(by_id)
    chosen: str = st.selectbox(
        title, ids, key=key, bind="query-params", format_func=lambda i: label(by_id[i])
    )
    return by_id[chosen]
