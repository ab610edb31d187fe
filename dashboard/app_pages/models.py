"""Trained models: how good they are, what they were made of, and how to get them out."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from core.jobs.replies import Evaluation, Model
from dashboard import (
    access,
    charts,
    choices,
    exports,
    job_rows,
    lineage,
    removal,
    results,
    verdicts,
    words,
)
from dashboard.tabs import tabs

TONES = {"good": st.success, "fair": st.warning, "poor": st.error}
ICONS = {"good": ":material/check_circle:", "fair": ":material/info:", "poor": ":material/warning:"}
COMPARED = {
    "real": "this policy",
    "sampled": "this policy, actions drawn",
    "scripted": "script",
    "untrained": "untrained policy",
    "random": "random actions",
}
JUDGED = {
    "success": "Success at the last step",
    "passed": "Went nearly through the goal",
    "coverage": "Largest coverage of the goal",
    "return": "Return",
}


def draw() -> None:
    service = access.client()
    found = service.models(limit=500)
    if not found:
        st.info("No model yet. Train one on a dataset.", icon=":material/hub:")
        st.page_link("app_pages/train.py", label="Train", icon=":material/rocket_launch:")
        return
    kinds = [k for k in words.KINDS if any(m.kind == k for m in found)]
    # An address that names a model opens its kind; after that, the kind is the user's choice.
    wanted = st.query_params.get("model")
    named = next((m.kind for m in found if m.id == wanted), None)
    if named and wanted != st.session_state.get("model_seen"):
        st.session_state["model_kind"] = named
    st.session_state.setdefault("model_kind", kinds[-1])
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    kind = left.segmented_control(
        "Kind", kinds, format_func=words.kind, key="model_kind", required=True
    )
    with right:
        chosen = choices.pick("Model", [m for m in found if m.kind == kind], "model")
    st.session_state["model_seen"] = chosen.id
    model = service.model(chosen.id)
    _head(model)
    sections = {
        "Evaluation": lambda: _evaluations(service.evaluations(of=model.id, limit=500)),
        "Training": lambda: _training(model),
        "Lineage": lambda: _lineage(model.id),
        "Config": lambda: _config(model),
    }
    if model.kind == "policy":
        sections["Export"] = lambda: exports.draw(model.id, model.kind)
    tabs(sections, key="model_tabs")


def _head(model: Model) -> None:
    left, right = st.columns([3, 2], vertical_alignment="center")
    left.caption(f"{words.kind(model.kind)} {model.id}, made {words.ago(model.created_at)}")
    with (
        right,
        st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"),
    ):
        if model.kind in _PLAYED:
            st.page_link(
                "app_pages/play.py",
                label="Play",
                icon=":material/sports_esports:",
                query_params={_PLAYED[model.kind]: model.id},
            )
        st.link_button(
            "Download",
            access.client().link(model.download_url or ""),
            icon=":material/download:",
            help="config.json, model.safetensors, spec.json and so on, as a zip",
        )
        removal.button(model.id, model.name)


_PLAYED = {"global_model": "model", "policy": "policy"}
"""Kind to its name in the address of the play page."""


def _training(model: Model) -> None:
    results.draw(model.result or {})
    query = {"id": model.job_id}
    st.page_link(job_rows.JOB_PAGE, label="Curves and log of its job", query_params=query)


def _config(model: Model) -> None:
    st.json(model.config or {})
    st.markdown("**Spec of the job that made it**")
    st.json(model.spec or {})


def _evaluations(judged: Sequence[Evaluation]) -> None:
    if not judged:
        st.info(
            "Nobody has judged this model yet: start a job of the kind Evaluation.",
            icon=":material/balance:",
        )
        st.page_link("app_pages/train.py", label="Evaluate", icon=":material/rocket_launch:")
        return
    chosen = judged[0]
    if len(judged) > 1:
        labels = {e.id: f"{e.name} · {words.ago(e.created_at)} · {e.id}" for e in judged}
        by_id = {e.id: e for e in judged}
        chosen = by_id[st.selectbox("Evaluation", list(labels), format_func=labels.__getitem__)]
    for verdict in verdicts.verdicts(chosen.result):
        TONES[verdict.tone](verdict.text, icon=ICONS[verdict.tone])
    _figures(chosen.result)
    with st.expander("All figures"):
        results.draw(chosen.result)


def _figures(result: dict[str, Any]) -> None:
    left, right = st.columns(2)
    if result.get("psnr") and result.get("static_psnr"):
        left.plotly_chart(charts.fidelity(result["psnr"], result["static_psnr"]), key="fidelity")
    for what, title in JUDGED.items():
        rows = {
            label: (result[f"{name}_{what}"], charts.bounds(result.get(f"{name}_{what}_interval")))
            for name, label in COMPARED.items()
            if result.get(f"{name}_{what}") is not None
        }
        if rows:
            title = f"{title} in the true simulator, 95 % intervals"
            figure = charts.bars(title, rows, percent=what != "return")
            right.plotly_chart(figure, key=f"shares-{what}")


def _lineage(model_id: str) -> None:
    nodes = access.client().lineage_of(model_id)
    st.html(lineage.drawing(nodes, model_id))
    st.caption("From left to right: what was used, and what was made of it.")
    st.page_link(
        "app_pages/lineage.py",
        label="Open the lineage",
        icon=":material/account_tree:",
        query_params={"of": model_id},
    )


st.title("Models", anchor=False)
draw()
