"""Queue the whole line for a dataset, or any one job of it."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.jobs.replies import Job
from dashboard import access, choices, costs, form_widgets, forms, job_rows, words
from foglab.client import ServiceError

LINE, ONE = "Whole line", "One job"
LINE_KINDS = ("global_model", "local_model", "policy", "evaluate", "rollout")


def draw() -> None:
    service = access.client()
    specs, known = _specs(), choices.artifacts(service)
    if not known["dataset"]:
        st.info(
            "Training needs a dataset, and there is none yet. Upload robot logs first: one is made "
            "of them.",
            icon=":material/database:",
        )
        st.page_link("app_pages/upload.py", label="Upload logs", icon=":material/upload:")
        return
    cloned = st.query_params.get("clone")
    if cloned:
        _clone(service.job(cloned), specs, known)
        return
    what = st.segmented_control(
        "What to train", [LINE, ONE], default=LINE, key="what", required=True
    )
    if what == LINE:
        _line(specs, known)
    else:
        _one(specs, known)


@st.cache_data(scope="session", ttl=300, show_spinner=False)
def _specs() -> dict[str, Any]:
    return access.client().specs()


def _line(specs: dict[str, Any], known: choices.Artifacts) -> None:
    st.caption(
        "Global model, local model, policy, evaluation and rollouts, each as a job that waits for "
        "what it needs."
    )
    tasks = forms.fields(specs["kinds"]["evaluate"])
    task = next(f for f in tasks if f.name == "task")
    world = {f.name: f for f in forms.fields(specs["kinds"]["global_model"])}
    left, right = st.columns(2)
    dataset = left.selectbox(
        "Dataset",
        list(known["dataset"]),
        format_func=known["dataset"].__getitem__,
        key="line_dataset",
    )
    preset = right.selectbox(
        "Preset",
        list(specs["presets"]),
        index=list(specs["presets"]).index("demo"),
        format_func=lambda p: f"{p}: {specs['costs'][p]}",
        key="line_preset",
    )
    chosen = left.selectbox(
        "Task",
        ["", *task.options],
        format_func=lambda t: t or "none: my own robot, no simulator",
        help="The true simulator that judges the policy, if these logs are of a built-in task",
        index=_likely(known["dataset"], task.options),
        key="line_task",
    )
    seed = right.number_input(
        "Seed",
        min_value=0,
        max_value=2**31 - 1,
        value=0,
        help="Same seed, same result",
        key="line_seed",
    )
    reward = left.selectbox(
        "Reward", world["reward"].options, help=world["reward"].help, key="line_reward"
    )
    goals = right.text_input(
        "Goal frames",
        help=world["goals"].help,
        placeholder="for ranking, e.g. 12:-1, 30:-1",
        key="line_goals",
    )
    _line_estimate(specs, preset, costs.side(dataset))
    if not st.button("Start", type="primary", icon=":material/rocket_launch:", key="line_start"):
        return
    body = {"preset": preset, "dataset_id": dataset, "task": chosen or None, "seed": seed}
    body |= {"reward": reward, "goals": forms.value(world["goals"], goals)}
    try:
        line = access.client().pipeline(**body, key=_key(body))
    except ServiceError as error:
        if error.status == 401:
            raise
        st.error(str(error), icon=":material/error:")
        return
    _started(line.jobs[0].id)


def _line_estimate(specs: dict[str, Any], preset: str, side: int) -> None:
    """What each job of the line will take, from what such jobs took here."""
    stages = {
        kind: costs.defaults(specs["kinds"][kind]) | specs["presets"][preset].get(kind, {})
        for kind in LINE_KINDS
    }
    world = stages["global_model"]
    found = {kind: costs.of(kind, spec, side, world) for kind, spec in stages.items()}
    with st.container(border=True, key="estimate"):
        st.markdown(f":material/timer: {costs.total(list(found.values()))}")
        if any(found.values()):
            st.table([costs.row(words.kind(k), e) for k, e in found.items()], border="horizontal")
            st.caption("Scaled from past runs on this installation by operations and weights.")


def _one(specs: dict[str, Any], known: choices.Artifacts) -> None:
    kinds = [kind for kind in specs["kinds"] if kind not in words.DATA_KINDS]
    left, right = st.columns(2)
    kind = left.selectbox("Job", kinds, format_func=words.kind, key="kind")
    preset = right.selectbox(
        "Start from preset",
        [None, *specs["presets"]],
        format_func=lambda p: p or "defaults",
        key="preset",
    )
    st.caption(words.KIND_HELP.get(kind, ""))
    _form(kind, specs, known, specs["presets"].get(preset, {}).get(kind, {}), f"{kind}-{preset}")


def _clone(job: Job, specs: dict[str, Any], known: choices.Artifacts) -> None:
    """The form of a job that was run before, filled with its spec."""
    st.page_link(
        "app_pages/job.py",
        label=f"Back to {job_rows.escaped(job.name)}",
        icon=":material/arrow_back:",
        query_params={"id": job.id},
    )
    st.caption(
        f"A new job like *{job_rows.escaped(job.name)}*: change what should differ and start it."
    )
    spec = {name: value for name, value in job.spec.items() if name != "kind"}
    _form(job.kind, specs, known, spec, f"clone-{job.id}", name=f"{job.name[:110]} (clone)")


def _form(
    kind: str,
    specs: dict[str, Any],
    known: choices.Artifacts,
    overrides: dict[str, Any],
    key: str,
    name: str = "",
) -> None:
    found = forms.fields(specs["kinds"][kind], overrides)
    known = {**known, "start_from": known.get(kind, {})}
    missing = [f for f in found if f.type == "artifact" and f.required and not known.get(f.name)]
    for field in missing:
        st.info(f"This job needs a {field.label.lower()}: train one first.", icon=":material/info:")
    wrong = st.session_state.get("train_wrong", {}).get(kind, {})
    with st.form(f"one-{key}"):
        typed_name = st.text_input(
            "Name", value=name, key=f"{key}-name", placeholder=words.kind(kind).lower()
        )
        inputs = [f for f in found if f.type == "artifact"]
        typed = form_widgets.draw(inputs, key, known, wrong)
        st.divider()
        rest = [f for f in found if f.type != "artifact"]
        typed |= form_widgets.draw(rest, key, known, wrong)
        with st.container(horizontal=True):
            sent = st.form_submit_button(
                "Start",
                type="primary",
                icon=":material/rocket_launch:",
                disabled=bool(missing),
                key="one_start",
            )
            asked = st.form_submit_button(
                "What will it take?",
                icon=":material/timer:",
                disabled=bool(missing),
                key="one_estimate",
            )
    form_widgets.draw_rest(typed, wrong)
    if asked:
        _one_estimate(kind, specs, found, typed, overrides)
    if sent:
        _submit(kind, found, typed, typed_name.strip(), overrides)


def _one_estimate(
    kind: str,
    specs: dict[str, Any],
    found: list[forms.Field],
    typed: dict[str, Any],
    overrides: dict[str, Any],
) -> None:
    spec, wrong = forms.spec(found, typed)
    if wrong:
        form_widgets.draw_rest({}, wrong)
        return
    whole = costs.defaults(specs["kinds"][kind]) | overrides | spec
    world = costs.spec_of(whole["global_model"]) if whole.get("global_model") else None
    st.table(
        [costs.row(words.kind(kind), costs.of(kind, whole, costs.side(whole["dataset"]), world))]
    )


def _submit(
    kind: str,
    found: list[forms.Field],
    typed: dict[str, Any],
    name: str,
    overrides: dict[str, Any],
) -> None:
    spec, wrong = forms.spec(found, typed)
    if not wrong:
        whole = {**overrides, **spec}
        key = _key({"kind": kind, "spec": whole, "name": name})
        try:
            job = access.client().submit(kind, whole, name=name or None, key=key)
        except ServiceError as error:
            if error.status == 401:
                raise
            wrong = dict(access.field_messages(error)) or {"": str(error)}
        else:
            st.session_state.pop("train_wrong", None)
            _started(job.id)
    # Drawn at the fields, so from the top.
    st.session_state["train_wrong"] = {kind: wrong}
    st.rerun()


def _key(body: dict[str, Any]) -> str:
    """Same until a submission has worked: a double click makes one job, not two."""
    nonce = st.session_state.setdefault("train_nonce", uuid.uuid4().hex)
    told = json.dumps(body, sort_keys=True)
    return f"form-{nonce}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def _started(job_id: str) -> None:
    st.session_state.pop("train_nonce", None)
    st.switch_page("app_pages/job.py", query_params={"id": job_id})


def _likely(datasets: Mapping[str, str], tasks: tuple[str, ...]) -> int:
    """The task that the newest dataset was made of, 0 for none."""
    newest = access.client().dataset(next(iter(datasets)))
    task = (newest.meta or {}).get("task")
    return tasks.index(task) + 1 if task in tasks else 0


st.title("Train", anchor=False)
draw()
