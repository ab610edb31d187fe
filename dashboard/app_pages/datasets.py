"""One dataset: what is in it, what was wrong with the logs, and its episodes to look at."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from core.jobs.replies import Dataset, Episode
from dashboard import access, charts, choices, player, words
from dashboard.tabs import tabs

SAMPLED = 24  # episodes that histograms are made of
FINDINGS = 200


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
        "Report": lambda: _report(dataset.id),
        "Statistics": lambda: _statistics(dataset, listed),
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
    labels = {e.n: f"{e.n} · {e.length} frames · {e.split} · {e.source}" for e in shown}
    n = right.selectbox(
        "Episode", list(labels), format_func=labels.__getitem__, key=f"episode-{dataset.id}-{split}"
    )
    service = access.client()
    episode = service.episode(dataset.id, n)
    scene = player.episode_scene(dataset.id, episode, service.link(episode.video_url))
    player.show(scene, key="episode_player")


def _report(dataset_id: str) -> None:
    report = access.client().dataset_report(dataset_id)
    summary, findings = report.get("summary", {}), report.get("findings", [])
    if summary:
        st.markdown(
            f"**{words.number(summary['episodes_kept'])} of "
            f"{words.number(summary['episodes_found'])} episodes** were kept, "
            f"{words.number(summary['episodes_dropped'])} dropped. Format: {summary['format']}."
        )
    if not findings:
        st.success("Nothing wrong was found in the logs.", icon=":material/check_circle:")
        return
    for severity, title in (("error", "Errors: left out of the dataset"), ("warning", "Warnings")):
        some = [f for f in findings if f.get("severity") == severity]
        if some:
            st.markdown(f"**{title}** ({len(some)})")
            st.dataframe(_table(some), hide_index=True, key=f"findings-{severity}")
    if len(findings) > FINDINGS:
        st.caption(f"The first {FINDINGS} of each kind are shown; the API's report has all.")


def _table(findings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "File": f.get("file"),
            "Episode": f.get("episode"),
            "Frame": f.get("frame"),
            "Problem": f.get("message"),
            "What to do": f.get("fix"),
        }
        for f in findings[:FINDINGS]
    ]


def _statistics(dataset: Dataset, episodes: Sequence[Episode]) -> None:
    by_split = {s: [e.length for e in episodes if e.split == s] for s in ("train", "validation")}
    told = ", ".join(f"{len(lengths)} for {split}" for split, lengths in by_split.items())
    if len({e.length for e in episodes}) == 1:
        st.markdown(f"Every episode has **{episodes[0].length} frames**; {told}.")
    else:
        st.markdown(f"**{len(episodes)} episodes**; {told}.")
        st.plotly_chart(charts.lengths(by_split["train"], by_split["validation"]), key="lengths")
    sample = _sample(dataset.id)
    st.caption(f"Histograms of {min(SAMPLED, len(episodes))} episodes spread over the dataset.")
    columns = st.columns(3)
    for n, (name, values) in enumerate(sample.items()):
        columns[n % 3].plotly_chart(charts.histogram(name, values), key=f"histogram-{name}")
    stats = (dataset.meta or {}).get("stats", {})
    rows = [
        {
            "Column": f"{field} {i}",
            **{k: words.number(s[k][i]) for k in ("mean", "std", "min", "max")},
        }
        for field, s in stats.items()
        for i in range(len(s["mean"]))
    ]
    st.markdown("**Training split, all episodes**")
    st.table(rows, border="horizontal")


@st.cache_data(scope="session", max_entries=4, show_spinner="Reading episodes")
def _sample(dataset_id: str) -> dict[str, list[float]]:
    """Values of each column of actions, reward and state; datasets never change."""
    service = access.client()
    count = len(service.episodes(dataset_id))
    chosen = np.unique(np.linspace(0, count - 1, min(SAMPLED, count)).round().astype(int)).tolist()
    columns: dict[str, list[float]] = {}
    for n in chosen:
        episode = service.episode(dataset_id, n)
        fields = {
            "action": episode.actions[:-1],
            "reward": [[r] for r in (episode.reward or [])[:-1]],
            "state": episode.state or [],
        }
        for field, rows in fields.items():
            for i, column in enumerate(zip(*rows, strict=True)):
                name = field if field == "reward" else f"{field} {i}"
                columns.setdefault(name, []).extend(column)
    return columns


st.title("Datasets", anchor=False)
draw()
