"""Queue the whole line for a dataset, or any one job of it."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboard import access, choices, form_widgets, forms, words
from foglab.client import ServiceError

LINE, ONE = "Whole line", "One job"


def draw() -> None:
    service = access.client()
    specs, known = service.specs(), choices.artifacts(service)
    if not known["dataset"]:
        st.info("Training needs a dataset, and there is none yet.", icon=":material/database:")
        st.page_link("app_pages/upload.py", label="Upload logs", icon=":material/upload:")
        return
    what = st.segmented_control(
        "What to train", [LINE, ONE], default=LINE, key="what", required=True
    )
    if what == LINE:
        _line(specs, known)
    else:
        _one(specs, known)


def _line(specs: dict[str, Any], known: choices.Artifacts) -> None:
    st.caption(
        "Global model, local model, policy, evaluation and rollouts, each as a job that waits for "
        "what it needs."
    )
    tasks = forms.fields(specs["kinds"]["evaluate"])
    task = next(f for f in tasks if f.name == "task")
    world = {f.name: f for f in forms.fields(specs["kinds"]["global_model"])}
    with st.form("line"):
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
        if not st.form_submit_button(
            "Start", type="primary", icon=":material/rocket_launch:", key="line_start"
        ):
            return
    body = {"preset": preset, "dataset_id": dataset, "task": chosen or None, "seed": seed}
    body |= {"reward": reward, "goals": forms.value(world["goals"], goals)}
    try:
        line = access.client().pipeline(**body, key=_key(body))
    except ServiceError as error:
        st.error(str(error), icon=":material/error:")
        return
    _started(line.jobs[0].id)


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
    overrides = specs["presets"].get(preset, {}).get(kind, {})
    found = forms.fields(specs["kinds"][kind], overrides)
    missing = [f for f in found if f.type == "artifact" and f.required and not known.get(f.name)]
    for field in missing:
        st.info(f"This job needs a {field.label.lower()}: train one first.", icon=":material/info:")
    wrong = st.session_state.get("train_wrong", {}).get(kind, {})
    with st.form(f"one-{kind}-{preset}"):
        name = st.text_input("Name", key=f"{kind}-name", placeholder=words.kind(kind).lower())
        inputs = [f for f in found if f.type == "artifact"]
        typed = form_widgets.draw(inputs, f"{kind}-{preset}", known, wrong)
        st.divider()
        rest = [f for f in found if f.type != "artifact"]
        typed |= form_widgets.draw(rest, f"{kind}-{preset}", known, wrong)
        sent = st.form_submit_button(
            "Start",
            type="primary",
            icon=":material/rocket_launch:",
            disabled=bool(missing),
            key="one_start",
        )
    form_widgets.draw_rest(typed, wrong)
    if sent:
        _submit(kind, found, typed, name.strip(), overrides)


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
