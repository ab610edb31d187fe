"""One dataset: what is in it, what was wrong with the logs, and its episodes to look at."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from core.jobs.replies import Dataset, Episode
from dashboard import access, choices, dataset_editor, dataset_report, player, words
from dashboard.tabs import tabs


def draw() -> None:
    service = access.client()
    found = service.datasets(limit=500)
    if not found:
        st.info(
            "No dataset yet: upload robot logs, and one is made of them.",
            icon=":material/database:",
        )
        st.page_link("app_pages/upload.py", label="Upload logs", icon=":material/upload:")
        return
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    with left:
        dataset = service.dataset(choices.pick("Dataset", found, "dataset").id)
    right.page_link("app_pages/train.py", label="Train on it", icon=":material/rocket_launch:")
    _figures(dataset)
    listed = service.episodes(dataset.id)
    sections = {
        "Episodes": lambda: _browser(dataset, listed),
        "Report": lambda: dataset_report.draw_findings(_report(dataset.id)),
        "Statistics": lambda: dataset_report.draw_statistics(dataset, listed, _report(dataset.id)),
        "Edit": lambda: dataset_editor.draw(dataset, listed),
    }
    tabs(sections, key="dataset_tabs")


def _figures(dataset: Dataset) -> None:
    meta = dataset.meta or {}
    shapes = meta.get("shapes", {})
    height, width = shapes.get("frames", [0, 0, 0])[1:3]
    state = shapes.get("state")
    figures = {
        "Episodes": words.number(dataset.episodes),
        "Frames": words.number(dataset.frames),
        "Picture (px)": f"{width} × {height}",
        "Rate": f"{words.number(meta.get('fps'))} Hz",
        "Action": f"{shapes.get('actions', [0, 0])[1]} × {meta.get('action_kind', '')}",
        "State": f"{state[1]} values" if state else "none",
        "Reward": "yes" if "reward" in shapes else "none",
    }
    with st.container(horizontal=True, gap="large"):
        for name, value in figures.items():
            st.metric(name, value, width="content")


def _browser(dataset: Dataset, episodes: Sequence[Episode]) -> None:
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    splits = ["all", *sorted({e.split for e in episodes})]
    split = left.segmented_control("Split", splits, default="all", key="split", required=True)
    shown = [e for e in episodes if split in ("all", e.split)]
    labels = {e.n: _label(e) for e in shown}
    n = right.selectbox(
        "Episode", list(labels), format_func=labels.__getitem__, key=f"episode-{dataset.id}-{split}"
    )
    service = access.client()
    episode = service.episode(dataset.id, n)
    scene = player.episode_scene(dataset.id, episode, service.link(episode.video_url))
    player.show(scene, key="episode_player")


def _label(episode: Episode) -> str:
    parts = (f"{episode.n}", f"{episode.length} frames", episode.split, episode.source)
    return " · ".join((*parts, *(f"#{t}" for t in episode.tags)))


@st.cache_data(scope="session", max_entries=4, show_spinner="Reading the report")
def _report(dataset_id: str) -> dict[str, Any]:
    """Datasets never change."""
    return access.client().dataset_report(dataset_id)


st.title("Datasets", anchor=False)
draw()
