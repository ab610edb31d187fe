"""One dataset: what is in it, what was wrong with the logs, and its episodes to look at."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from core.jobs.replies import Dataset, Episode
from dashboard import (
    access,
    choices,
    dataset_editor,
    dataset_report,
    exports,
    player,
    removal,
    words,
)
from dashboard.tabs import tabs

LISTED, A_PAGE = 300, 50
"""Up to so many episodes are listed to choose from; of more, a page at a time."""


def draw() -> None:
    found = access.client().datasets(limit=500)
    if not found:
        st.info(
            "No dataset yet. Upload robot logs, and one is made of them: checked, split into "
            "training and held-out episodes, and never changed again.",
            icon=":material/database:",
        )
        st.page_link("app_pages/upload.py", label="Upload logs", icon=":material/upload:")
        return
    left, right = st.columns([3, 1.3], vertical_alignment="bottom")
    with left:
        dataset = choices.pick("Dataset", found, "dataset")
    with right, st.container(horizontal=True, vertical_alignment="center"):
        st.page_link("app_pages/train.py", label="Train on it", icon=":material/rocket_launch:")
        removal.button(dataset.id, dataset.name)
    _figures(dataset)
    sections = {
        "Episodes": lambda: _browser(dataset),
        "Report": lambda: dataset_report.draw_findings(_report(dataset.id)),
        "Statistics": lambda: dataset_report.draw_statistics(
            dataset, _episodes(dataset.id), _report(dataset.id)
        ),
        "Edit": lambda: dataset_editor.draw(dataset, _episodes(dataset.id)),
        "Export": lambda: exports.draw(dataset.id, "ingest"),
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


def _browser(dataset: Dataset) -> None:
    many = (dataset.episodes or 0) > LISTED
    chosen = _by_number(dataset) if many else _by_label(dataset)
    goals = (dataset.meta or {}).get("goals", [])
    start = 0
    if goals:
        labels = [f"{g['episode']}:{g['frame']}" for g in goals]
        goal = st.pills(
            "Goal frames",
            labels,
            help="Frames that show what a policy is to bring about, as episode:frame",
            key=f"goal-{dataset.id}",
        )
        if goal:
            chosen, start = goals[labels.index(goal)]["episode"], goals[labels.index(goal)]["frame"]
    if chosen is None:
        st.info("No episode is like that.", icon=":material/filter_alt_off:")
        return
    service = access.client()
    episode = service.episode(dataset.id, chosen)
    names = (dataset.meta or {}).get("names", {})
    link = service.link(episode.video_url)
    scene = player.episode_scene(dataset.id, episode, link, names, start)
    player.show(scene, key="episode_player")


def _by_label(dataset: Dataset) -> int | None:
    episodes = _episodes(dataset.id)
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    splits = ["all", *sorted({e.split for e in episodes})]
    split = left.segmented_control("Split", splits, default="all", key="split", required=True)
    labels = {e.n: _label(e) for e in episodes if split in ("all", e.split)}
    n: int | None = right.selectbox(
        "Episode", list(labels), format_func=labels.__getitem__, key=f"episode-{dataset.id}-{split}"
    )
    return n


def _by_number(dataset: Dataset) -> int:
    """A list of thousands is no help: a number, and a table of the episodes around it."""
    most = (dataset.episodes or 1) - 1
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    n = left.number_input(f"Episode, 0 to {most}", 0, most, key=f"episode-{dataset.id}")
    first = n - n % A_PAGE
    shown = access.client().episodes(dataset.id, first, A_PAGE)
    right.caption(f"Episodes {first} to {first + len(shown) - 1}; click one to see it.")
    picked = st.dataframe(
        [{"Episode": e.n, "Frames": e.length, "Split": e.split, "Source": e.source} for e in shown],
        hide_index=True,
        height=180,
        on_select="rerun",
        selection_mode="single-row",
        key=f"episodes-{dataset.id}-{first}",
    )
    rows = picked["selection"]["rows"]
    return shown[rows[0]].n if rows else n


def _episodes(dataset_id: str) -> Sequence[Episode]:
    """All of them; those of the dataset that is looked at are kept, for datasets never change."""
    known: tuple[str, Sequence[Episode]] = st.session_state.get("dataset_episodes", ("", ()))
    if known[0] != dataset_id:
        known = (dataset_id, access.client().episodes(dataset_id))
        st.session_state["dataset_episodes"] = known
    return known[1]


def _label(episode: Episode) -> str:
    parts = (f"{episode.n}", f"{episode.length} frames", episode.split, episode.source)
    return " · ".join((*parts, *(f"#{t}" for t in episode.tags)))


@st.cache_data(scope="session", max_entries=4, show_spinner="Reading the report")
def _report(dataset_id: str) -> dict[str, Any]:
    """Datasets never change."""
    return access.client().dataset_report(dataset_id)


st.title("Datasets", anchor=False)
draw()
