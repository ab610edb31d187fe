"""What an upload holds, shown so that a user can confirm or change how it is read."""

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.jobs.replies import Detection, Job
from dashboard import access, words

_JOBS, _SEEN, _APPLIED = "look_jobs", "look_seen", "look_applied"
_LOOKS = ("format", "mapping", "crop", "fit", "flip", "color_order")
_ONE = ("reward", "terminated", "success", "time")
_NONE = "none"
_THUMBNAIL_PX = 128


def look(upload: str, options: Mapping[str, Any] | None = None) -> None:
    """Queue the job that looks into an upload; what was seen before is forgotten."""
    asked = {k: v for k, v in (options or {}).items() if k in _LOOKS}
    st.session_state.setdefault(_JOBS, {})[upload] = access.client().detect(upload, **asked).id
    st.session_state.setdefault(_SEEN, {}).pop(upload, None)


def looked(upload: str) -> bool:
    """Whether somebody has asked what is in it."""
    return upload in st.session_state.get(_JOBS, {})


def found(upload: str) -> Detection | None:
    """What was seen in an upload; draws how far the job is until it has ended."""
    seen: dict[str, Detection] = st.session_state.setdefault(_SEEN, {})
    job_id = st.session_state.get(_JOBS, {}).get(upload)
    if upload not in seen and job_id:
        access.live(_wait, 1.0)(upload, job_id)
    return seen.get(upload)


def apply(detection: Detection, schema_fields: Mapping[str, Any]) -> None:
    """Once per look, put what was seen into the form's widgets, before they are drawn."""
    if st.session_state.get(_APPLIED) == detection.id:
        return
    st.session_state[_APPLIED] = detection.id
    values = {
        "format": detection.format,
        "fps": detection.fps,
        "action_kind": detection.action_kind,
    }
    for name, value in values.items():
        if value is not None and name in schema_fields:
            st.session_state[f"ingest-{name}"] = value


def draw(detection: Detection) -> None:
    """Why it is this format, what speaks against it, and a few pictures of every camera."""
    if detection.problem:
        st.warning(detection.problem, icon=":material/warning:")
    if detection.format is None:
        return
    reasons = "; ".join(detection.reasons.values())
    rate = f" · {words.number(detection.fps)} Hz" if detection.fps else ""
    st.markdown(
        f"**{detection.layout or detection.format}** · {words.number(detection.episodes)} "
        f"episodes{rate}"
    )
    st.caption(f"Recognised by: {reasons}.")
    for note in detection.notes:
        st.caption(f":material/info: {note}")
    for camera, pictures in detection.thumbnails.items():
        used = " (read)" if camera == detection.fields.get("image") else ""
        st.markdown(f"{camera}{used}")
        with st.container(horizontal=True, gap="small"):  # side by side on a phone, too
            for picture in pictures:
                st.image(picture, width=_THUMBNAIL_PX)


def choose(detection: Detection) -> dict[str, str]:
    """Widgets for the key of each field; returns the mapping for what was changed."""
    key = f"map-{detection.id}"
    cameras = [c.key for c in detection.cameras]
    columns = [c.key for c in detection.columns]
    chosen: dict[str, str] = {}
    left, right = st.columns(2)
    if cameras:
        at = (
            cameras.index(detection.fields["image"])
            if detection.fields.get("image") in cameras
            else 0
        )
        chosen["image"] = left.selectbox("Camera", cameras, index=at, key=f"{key}-image")
    for place, field in ((right, "action"), (left, "state")):
        given = [k.strip() for k in detection.fields.get(field, "").split(",")]
        known = [k for k in given if k in columns]
        picked = place.multiselect(
            words.sentence(field),
            columns,
            default=known,
            key=f"{key}-{field}",
            help="Keys whose values stand side by side",
        )
        if ranges := _ranges(detection, field):
            place.caption(ranges)
        chosen[field] = ", ".join(picked)
    for n, field in enumerate(_ONE):
        options = [_NONE, *columns]
        given_key = detection.fields.get(field, _NONE)
        at = options.index(given_key) if given_key in options else 0
        picked_one = (right, left)[n % 2].selectbox(
            words.sentence(field), options, index=at, key=f"{key}-{field}"
        )
        chosen[field] = "" if picked_one == _NONE else picked_one
    st.caption(f"Meaning of actions: {detection.action_kind_why or 'unknown'}.")
    return {f: k for f, k in chosen.items() if k and k != detection.fields.get(f)}


def merged(typed: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    """The form's values with the chosen keys in its mapping; typed ones win."""
    text = str(typed.get("mapping") or "")
    if not mapping or not text:
        return {**typed, "mapping": json.dumps(mapping) if mapping else text}
    try:
        given = json.loads(text.replace("'", '"'))
    except ValueError:
        return dict(typed)  # told at the field
    return (
        {**typed, "mapping": json.dumps({**mapping, **given})}
        if isinstance(given, dict)
        else dict(typed)
    )


def _wait(upload: str, job_id: str) -> None:
    job = access.client().job(job_id)
    if not job.ended:
        st.info(_progress(job), icon=":material/hourglass_top:")
        return
    if job.status == "succeeded" and job.output_id:
        st.session_state[_SEEN][upload] = access.client().detection(job.output_id)
        st.rerun()
    st.error(job.error or f"The look into it was {job.status}.", icon=":material/error:")


def _progress(job: Job) -> str:
    doing = words.progress(job)
    return f"Looking into it: {doing or 'waiting for a worker'}."


def _ranges(detection: Detection, field: str) -> str:
    """Least and greatest values of the first columns, in words."""
    told = detection.ranges.get(field)
    if not told:
        return ""
    pairs = list(zip(told.get("low", []), told.get("high", []), strict=False))[:6]
    return "Values seen: " + ", ".join(f"{words.number(a)} to {words.number(b)}" for a, b in pairs)
