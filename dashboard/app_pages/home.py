"""What runs, what failed and why, and what to do next."""

import streamlit as st

from core.jobs.replies import Job
from dashboard import access, job_rows, words

MAKE_LOGS = """foglab make-logs push_disc logs.zip --episodes 100
foglab upload logs.zip --name push_disc"""
DEMO = "foglab demo"
MOST_LINES = 3


def draw() -> None:
    service = access.client()
    jobs = service.jobs(limit=100)
    active = [job for job in jobs if not job.ended]
    failed = [job for job in jobs if job.status == "failed" and not _answered(job, jobs)]
    _next_step(jobs, active)
    if active:
        st.header("Now", anchor=False)
        _jobs(active, "now")
    if failed:
        st.header("Failed", anchor=False)
        st.caption("Open a job to read its log, and to try it again.")
        job_rows.rows(failed[:5], "failed")
    running = {job.pipeline_id for job in active if job.pipeline_id}
    done = [job for job in jobs if job.status == "succeeded"]
    made = [job for job in done if job.pipeline_id not in running][:8]
    if made:
        st.header("Done", anchor=False)
        _jobs(made, "made")


def _jobs(jobs: list[Job], key: str) -> None:
    """Lines as chains of their stages, other jobs as rows."""
    lines = list(dict.fromkeys(job.pipeline_id for job in jobs if job.pipeline_id))[:MOST_LINES]
    for line in lines:
        stages = access.client().jobs(pipeline=line)
        st.markdown(f"**{job_rows.escaped(job_rows.line_name(stages))}**")
        job_rows.pipeline(stages)
    others = [job for job in jobs if job.pipeline_id not in lines]
    job_rows.rows(sorted(others, key=lambda job: job.status != "running")[:12], key)


def _answered(failed: Job, jobs: list[Job]) -> bool:
    """A failure is old news once a later job of its kind and name has succeeded."""
    return any(
        job.kind == failed.kind
        and job.name == failed.name
        and job.status == "succeeded"
        and job.created_at > failed.created_at
        for job in jobs
    )


def _next_step(jobs: list[Job], active: list[Job]) -> None:
    service = access.client()
    with st.container(border=True, key="next-step"):
        if service.rollouts(limit=1):
            st.markdown("**See what the model imagines**, beside what really happened.")
            st.page_link("app_pages/rollouts.py", icon=":material/movie:")
        elif any(job.kind not in words.DATA_KINDS for job in active):
            st.markdown("**Models are being trained.** Their curves are on the page of each job.")
            st.page_link("app_pages/jobs.py", icon=":material/list_alt:")
        elif service.datasets(limit=1):
            st.markdown(
                "**Train on your dataset.** One click queues the whole line: world model, "
                "local model, policy, evaluation and rollouts."
            )
            st.page_link("app_pages/train.py", icon=":material/rocket_launch:")
        elif active:
            st.markdown("**Your logs are being checked.** The dataset is listed when that is done.")
        else:
            _start()


def _start() -> None:
    st.markdown(
        "**Start with robot logs.** Upload a zip of episodes, or make some in a simulated task:"
    )
    st.code(MAKE_LOGS, language="bash")
    st.page_link("app_pages/upload.py", icon=":material/upload:")
    st.caption("Or let one command do everything, from logs to a judged policy:")
    st.code(DEMO, language="bash")


st.title("Home", anchor=False)
access.live(draw, 2.0)()
with st.container(horizontal=True, horizontal_alignment="distribute", key="foot"):
    st.caption(
        f"Service: {access.client().public_url} · API reference: {access.client().public_url}/docs"
    )
    if st.button("Sign out", type="tertiary", icon=":material/logout:"):
        access.sign_out()
        st.rerun()
