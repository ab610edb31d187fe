"""Is a global model good enough to train a policy in? A verdict in words, and its reasons."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from core.jobs.replies import Evaluation, Model
from dashboard import access, charts, choices, gate, job_rows, words
from dashboard.gate import Check, Gate
from foglab.client import ServiceError

TONES = {"good": st.success, "fair": st.warning, "poor": st.error, "unknown": st.info}
BADGES: dict[str, tuple[str, words.Color]] = {
    "good": ("good", "green"),
    "fair": ("fair", "orange"),
    "poor": ("poor", "red"),
    "unknown": ("unknown", "gray"),
}
ICONS = {
    "good": ":material/check_circle:",
    "fair": ":material/info:",
    "poor": ":material/block:",
    "unknown": ":material/help:",
}


def draw() -> None:
    service = access.client()
    found = service.models(kind="global_model", limit=500)
    st.caption("Whether a global model can be trusted as the world that a policy is trained in.")
    if not found:
        st.info(
            "No global model yet. Train one on a dataset, then ask again: an evaluation compares "
            "what it imagines with episodes that were held out of training.",
            icon=":material/hub:",
        )
        st.page_link("app_pages/train.py", label="Train", icon=":material/rocket_launch:")
        return
    model = choices.pick("Global model", found, "model")
    judged = service.evaluations(of=model.id, limit=500)
    chosen = _chosen(judged)
    verdict = gate.gate(chosen.result if chosen else None)
    _verdict(verdict)
    _again(model, judged)
    if chosen is None:
        return
    for check in verdict.checks:
        _check(check, chosen.result)
    st.caption(f"Evaluation {chosen.id} of job {chosen.job_id}, {words.ago(chosen.created_at)}.")


def _chosen(judged: Sequence[Evaluation]) -> Evaluation | None:
    if len(judged) < 2:
        return judged[0] if judged else None
    by_id = {e.id: e for e in judged}
    labels = {e.id: f"{e.name} · {words.ago(e.created_at)} · {e.id}" for e in judged}
    picked: str = st.selectbox("Evaluation", list(labels), format_func=labels.__getitem__)
    return by_id[picked]


def _verdict(verdict: Gate) -> None:
    told = [f"**{verdict.answer}**", *(f"- {job_rows.escaped(r)}" for r in verdict.reasons)]
    TONES[verdict.tone]("\n\n".join([told[0], "\n".join(told[1:])]), icon=ICONS[verdict.tone])


def _again(model: Model, judged: Sequence[Evaluation]) -> None:
    """One click for a first evaluation, or one with today's figures."""
    label = "Evaluate again" if judged else "Evaluate it"
    if not st.button(label, icon=":material/balance:", key="evaluate"):
        return
    service = access.client()
    spec = {**judged[0].spec} if judged else _plain_spec(model)
    try:
        job = service.submit("evaluate", spec, name=f"{model.name}: is it good enough?")
    except ServiceError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.switch_page(job_rows.JOB_PAGE, query_params={"id": job.id})


def _plain_spec(model: Model) -> dict[str, Any]:
    """The model on its own dataset, with the newest local model of the same data."""
    service = access.client()
    dataset = (service.model(model.id).spec or {})["dataset"]
    spec: dict[str, Any] = {"dataset": dataset, "global_model": model.id}
    task = (service.dataset(dataset).meta or {}).get("task")
    locals_ = service.models(kind="local_model", limit=20)
    same = [m.id for m in locals_ if (service.model(m.id).spec or {}).get("dataset") == dataset]
    if same:
        spec["local_model"] = same[0]
    return spec | ({"task": task} if task else {})


def _check(check: Check, result: dict[str, Any]) -> None:
    with st.container(border=True):
        left, right = st.columns([2, 3])
        with left:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{check.title}**")
                text, color = BADGES[check.tone]
                st.badge(text, color=color)
            st.markdown(job_rows.escaped(check.said[:1].upper() + check.said[1:]))
            st.caption(check.why)
        with right:
            figure = _FIGURES[check.title](result)
            if figure is not None:
                st.plotly_chart(figure, key=f"gate-{check.title}")


def _foresight(result: dict[str, Any]) -> Any:
    if not result.get("psnr") or not result.get("static_psnr"):
        return None
    return charts.fidelity(result["psnr"], result["static_psnr"], height=230)


def _actions(result: dict[str, Any]) -> Any:
    if not result.get("action_gain_by_step") or not result.get("shuffled_psnr"):
        return None
    return charts.action_gain(result["shuffled_psnr"], result["action_gain_by_step"], height=230)


def _rewards(result: dict[str, Any]) -> Any:
    bins = result.get("reward_calibration")
    return charts.calibration(bins["imagined"], bins["logged"], height=230) if bins else None


def _gradient(result: dict[str, Any]) -> Any:
    rows = {
        label: (result[name], charts.bounds(result.get(f"{name}_interval")))
        for name, label in (("gradient_cosine", "1 step"), ("gradient_cosine_3", "3 steps"))
        if result.get(name) is not None
    }
    return (
        charts.bars("Cosine to the true gradient, 95 % intervals", rows, height=150)
        if rows
        else None
    )


def _returns(result: dict[str, Any]) -> Any:
    rows = {
        label: (result[name], charts.bounds(result.get(f"{name}_interval")))
        for name, label in (
            ("matched_imagined_return", "in imagination"),
            ("matched_true_return", "in the true simulator"),
        )
        if result.get(name) is not None
    }
    return charts.bars("Return of the policy, 95 % intervals", rows, height=150) if rows else None


_FIGURES = {
    "Foresight": _foresight,
    "Action sensitivity": _actions,
    "Reward calibration": _rewards,
    "Gradient cosine": _gradient,
    "Imagined against true return": _returns,
}

st.title("Good enough?", anchor=False)
draw()
