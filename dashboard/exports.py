"""What of an artifact can be taken away: exports that are there, being made, and to be made."""

from collections.abc import Callable

import streamlit as st

from core.jobs.replies import Export, Job
from dashboard import access, job_rows, words
from foglab.client import ServiceError

SAMPLE = """# pip install onnxruntime numpy; unzip {export}.zip
import numpy as np, onnxruntime
policy = onnxruntime.InferenceSession("policy.onnx")
state = np.zeros((1, policy.get_inputs()[1].shape[1]), np.float32)
reset = np.ones(1, bool)
while True:
    image = camera()  # yours: (H, W, 3) uint8, as in the logs
    action, state = policy.run(None, {{"image": image[None], "state": state, "reset": reset}})
    reset[:] = False
    move(action[0])  # yours: in [-1, 1], in the units of the logs
"""


def draw(source: str, kind: str) -> None:
    """`kind` is that of the job that made the artifact."""
    if kind == "policy":
        st.caption("The policy as files that run without Foglab, compared with the original.")
        asked = {"Export the policy": lambda: access.client().export_policy(source)}
    else:
        st.caption("LeRobot v3.0, as other tools read it.")
        asked = {"Export as LeRobot v3.0": lambda: access.client().export(source)}
    for label, submit in asked.items():
        if st.button(label, icon=":material/output:", key=f"export-{source}"):
            _submit(submit)
    access.live(_list, 2.0)(source, kind)
    if kind == "policy":
        with st.expander("Act with it in ten lines", icon=":material/code:"):
            st.code(SAMPLE.format(export=source), language="python")


def _submit(submit: Callable[[], Job]) -> None:
    try:
        submit()
    except ServiceError as error:
        if error.status == 401:
            raise
        st.error(str(error), icon=":material/error:")


def _list(source: str, kind: str) -> None:
    service = access.client()
    asked = "policy_export" if kind == "policy" else "export"
    jobs = [j for j in service.jobs(kind=asked, limit=50) if source in j.spec.values()]
    open_jobs = [j for j in jobs if not j.ended] + [j for j in jobs[:1] if j.status == "failed"]
    job_rows.rows(open_jobs, f"exports-{source}")
    found = [e for e in service.exports(limit=200) if e.source == source]
    for export in found[:8]:
        _row(export)
    if not found and not open_jobs:
        st.caption("Nothing was exported yet.")


def _row(export: Export) -> None:
    name, link = st.columns([4, 1], vertical_alignment="center")
    told = ", ".join(_told(export))
    name.markdown(f"{words.ago(export.created_at)} · {told}")
    link.link_button(
        "Download", access.client().link(export.download_url), icon=":material/download:"
    )


def _told(export: Export) -> list[str]:
    result = export.result
    parts = [words.size(result["bytes"])] if "bytes" in result else []
    parts += [f"{words.number(result['episodes'])} episodes"] if "episodes" in result else []
    formats = result.get("formats")
    return parts + ([", ".join(formats)] if isinstance(formats, list | dict) else [])
