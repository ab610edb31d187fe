"""Imagined beside real: the same start, the same actions, frame by frame."""

from collections.abc import Sequence

import streamlit as st

from core.jobs.replies import Rollout, RolloutItem
from dashboard import access, charts, choices, exports, player, removal, verdicts, words

VIEWS = {"real": "Real", "imagined": "Imagined", "dream": "Dream", "difference": "Difference"}
DIFFERENCE = "Black is equal; a quarter of the full range is white."


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
    _overview(list(items.values()), items[n])
    with st.expander("Export", icon=":material/output:"):
        exports.draw(rollout.id, "rollout")
    removal.button(rollout.id, rollout.name)


def _item(rollout: Rollout, item: RolloutItem) -> None:
    if item.kind == "policy":
        st.caption("The policy acts in every world by itself, from the same first frame.")
    else:
        st.caption(
            "All start from the same frames of an episode that was held out of training, and are "
            "given the same actions."
        )
    urls = _urls(item)
    shown = urls
    if len(urls) > 2:
        views = st.pills(
            "Side by side",
            list(urls),
            format_func=VIEWS.__getitem__,
            selection_mode="multi",
            default=[v for v in urls if v != "difference" or item.kind != "policy"],
            key=f"views-{item.kind}",
            help=f"The dream is the local model's own imagination. Difference: {DIFFERENCE}",
        )
        shown = {v: urls[v] for v in urls if v in views} or urls
    scene = player.rollout_scene(rollout.id, item, rollout.fps or 10.0, shown)
    player.show(scene, key="rollout_player")
    if verdict := verdicts.rollout_gain(item):
        st.markdown(verdict)
    st.caption(f"{rollout.id}, made {words.ago(rollout.created_at)} by job {rollout.job_id}")


def _urls(item: RolloutItem) -> dict[str, str]:
    """Addresses of its videos by name; both in one where there are no others."""
    signed = {name: getattr(item, f"{name}_url") for name in VIEWS}
    if not (signed["real"] and signed["imagined"]):
        signed = {"video": item.video_url}
    return {name: access.client().link(url) for name, url in signed.items() if url}


def _overview(items: Sequence[RolloutItem], current: RolloutItem) -> None:
    """Which rollouts go astray, and after how many steps."""
    rows = {player.item_label(i): i.psnr for i in items if i.psnr and i.kind == current.kind}
    if len(rows) > 1:
        st.plotly_chart(charts.error_map(rows, player.item_label(current)), key="error-map")


st.title("Rollouts", anchor=False)
draw()
