"""Results of jobs as tables: figures with their intervals, lists left to the charts."""

import re
from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboard import words

INTERVAL = "_interval"
_PSNR = re.compile(r"(static_)?psnr_(\d+)")
_OVER_STEPS = re.compile(r"(gradient_\w+?)_(\d+)")


def table(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """One row a figure, nested ones as `outer inner`; lists of numbers are left out."""
    rows: list[dict[str, str]] = []
    for name, value in result.items():
        if isinstance(value, Mapping):
            rows += [
                {**row, "Figure": f"{words.sentence(name)}: {row['Figure'].lower()}"}
                for row in table(value)
            ]
        elif not name.endswith(INTERVAL) and not isinstance(value, list):
            rows.append(
                {
                    "Figure": label(name),
                    "Value": words.number(value),
                    "95 % interval": interval(result.get(name + INTERVAL)),
                }
            )
    return rows


def label(name: str) -> str:
    """A figure's name as people read it."""
    if found := _PSNR.fullmatch(name):
        of = "still picture" if found[1] else "imagined"
        return f"PSNR at step {found[2]}, {of} (dB)"
    if found := _OVER_STEPS.fullmatch(name):
        return f"{words.sentence(found[1])} over {found[2]} steps"
    return words.sentence(name).replace("psnr", "PSNR")


def interval(bounds: Any) -> str:
    """`0.31 to 0.52`, empty if there is none."""
    if not isinstance(bounds, list | tuple) or len(bounds) != 2 or None in bounds:
        return ""
    return f"{words.number(bounds[0])} to {words.number(bounds[1])}"


def draw(result: Mapping[str, Any]) -> None:
    """The table on the page."""
    rows = table(result)
    if not any(row["95 % interval"] for row in rows):
        rows = [{k: v for k, v in row.items() if k != "95 % interval"} for row in rows]
    st.table(rows, border="horizontal")
