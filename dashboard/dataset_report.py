"""What was found in the logs of a dataset, and what their numbers are like."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from core.jobs.replies import Dataset, Episode
from dashboard import charts, words

FINDINGS = 200
TITLES = {
    "error": ("Errors: left out of the dataset", ":material/error:"),
    "warning": ("Warnings: look at these", ":material/warning:"),
    "info": ("Good to know", ":material/info:"),
}


def draw_findings(report: Mapping[str, Any]) -> None:
    """All findings by severity, each with its place, what to do and a page that explains it."""
    summary, findings = report.get("summary", {}), report.get("findings", [])
    if summary:
        trimmed = summary.get("episodes_trimmed", 0)
        cut = f", {words.number(trimmed)} of them in part" if trimmed else ""
        st.markdown(
            f"**{words.number(summary['episodes_kept'])} of "
            f"{words.number(summary['episodes_found'])} episodes** were kept{cut}, "
            f"{words.number(summary['episodes_dropped'])} dropped. Format: {summary['format']}."
        )
    if not any(f.get("severity") in ("error", "warning") for f in findings):
        st.success("Nothing wrong was found in the logs.", icon=":material/check_circle:")
    for severity, (title, icon) in TITLES.items():
        some = [f for f in findings if f.get("severity") == severity]
        if some:
            st.markdown(f"{icon} **{title}** ({len(some)})")
            st.dataframe(
                _table(some),
                hide_index=True,
                placeholder="",
                key=f"findings-{severity}",
                column_config={"More": st.column_config.LinkColumn(display_text="explained")},
            )
    if len(findings) > FINDINGS:
        st.caption(f"The first {FINDINGS} of each kind are shown; the API's report has all.")


def draw_statistics(
    dataset: Dataset, episodes: Sequence[Episode], report: Mapping[str, Any]
) -> None:
    """Lengths, histograms of every column, and the part of the workspace that was visited."""
    by_split = {s: [e.length for e in episodes if e.split == s] for s in ("train", "validation")}
    told = ", ".join(f"{len(lengths)} for {split}" for split, lengths in by_split.items())
    if len({e.length for e in episodes}) == 1:
        st.markdown(f"Every episode has **{episodes[0].length} frames**; {told}.")
    else:
        st.markdown(f"**{len(episodes)} episodes**; {told}.")
        st.plotly_chart(charts.lengths(by_split["train"], by_split["validation"]), key="lengths")
    found = report.get("statistics", {})
    columns = st.columns(3)
    for n, one in enumerate(found.get("histograms", ())):
        figure = charts.bins(one["name"], one["low"], one["high"], one["counts"])
        columns[n % 3].plotly_chart(figure, key=f"histogram-{n}")
    if plane := found.get("coverage"):
        st.plotly_chart(
            charts.coverage((plane["x"], plane["y"]), plane["low"], plane["high"], plane["counts"]),
            key="coverage",
        )
        st.caption(
            f"{plane['visited']:.0%} of the cells were visited; the model has seen nothing of the "
            "others."
        )
    stats = (dataset.meta or {}).get("stats", {})
    rows = [
        {
            "Column": f"{field} {i}",
            **{k: words.number(s[k][i]) for k in ("mean", "std", "min", "max")},
        }
        for field, s in stats.items()
        for i in range(len(s["mean"]))
    ]
    st.markdown("**Training split**")
    st.table(rows, border="horizontal")


def _table(findings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "File": f.get("file"),
            "Episode": f.get("episode"),
            "Frame": f.get("frame"),
            "Problem": f.get("message"),
            "What to do": f.get("fix"),
            "More": f"formats?code={f.get('code')}",
        }
        for f in findings[:FINDINGS]
    ]
