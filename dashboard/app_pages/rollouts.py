"""Imagined beside real: the same start, the same actions, frame by frame."""

import streamlit as st

from core.jobs.replies import Rollout, RolloutItem
from dashboard import access, choices, player, verdicts, words


def draw() -> None:
    service = access.client()
    found = service.rollouts(limit=500)
    if not found:
        st.info(
            "No rollouts yet. The whole line renders them at its end; with a trained global model "
            "you can also start a job of the kind Rollouts.",
            icon=":material/movie:",
        )
        st.page_link("app_pages/train.py", label="Train", icon=":material/rocket_launch:")
        return
    left, right = st.columns(2)
    with left:
        rollout = service.rollout(choices.pick("Rollouts", found, "rollout").id)
    items = {item.n: item for item in rollout.items or []}
    if not items:
        st.info("This one has no videos.")
        return
    n = right.selectbox(
        "Shown",
        list(items),
        format_func=lambda i: player.item_label(items[i]),
        key=f"item-{rollout.id}",
    )
    _item(rollout, items[n])


def _item(rollout: Rollout, item: RolloutItem) -> None:
    service = access.client()
    if item.kind == "policy":
        st.caption("The policy acts in both worlds, from the same first frame.")
    else:
        st.caption(
            "Both start from the same frames of an episode that was held out of training, and are "
            "given the same actions."
        )
    signed = {"real": item.real_url, "imagined": item.imagined_url}
    if not all(signed.values()):
        signed = {"video": item.video_url}
    urls = {name: service.link(url) for name, url in signed.items() if url}
    scene = player.rollout_scene(rollout.id, item, rollout.fps or 10.0, urls)
    player.show(scene, key="rollout_player")
    if verdict := verdicts.rollout_gain(item):
        st.markdown(verdict)
    st.caption(f"{rollout.id}, made {words.ago(rollout.created_at)} by job {rollout.job_id}")


st.title("Rollouts", anchor=False)
draw()
