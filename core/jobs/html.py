"""Replies as HTML for notebooks. Everything that came from outside is escaped."""

import json
from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any

COLORS = {"succeeded": "#2e7d32", "failed": "#c62828", "cancelled": "#b26a00", "running": "#1565c0"}
LONG = 300


def card(title: str, fields: Mapping[str, Any], *parts: str) -> str:
    """A heading, a table of fields and whatever HTML `parts` add."""
    rows = "".join(
        f"<tr><th style='text-align:left;vertical-align:top'>{escape(name)}</th>"
        f"<td style='text-align:left'>{_value(value)}</td></tr>"
        for name, value in fields.items()
        if value not in (None, [], {}, "")
    )
    return f"<div><b>{escape(title)}</b><table>{rows}</table>{''.join(parts)}</div>"


def bar(done: int, total: int, message: str = "") -> str:
    """How far something is."""
    share = 100 * done / max(total, 1)
    return f"<progress value='{share:.0f}' max='100'></progress> {share:.0f} % {escape(message)}"


def badge(status: str) -> str:
    """A status in its colour."""
    color = COLORS.get(status, "#616161")
    return f"<span style='color:{color};font-weight:bold'>{escape(status)}</span>"


def video(address: str, title: str) -> str:
    """A player for a signed address."""
    return (
        f"<figure style='display:inline-block;margin:4px'><video controls loop muted width='320' "
        f"src='{escape(address, quote=True)}'></video><figcaption>{escape(title)}</figcaption>"
        "</figure>"
    )


class Html(str):
    """Text that is HTML already and is not escaped again."""


def _value(value: Any) -> str:
    if isinstance(value, Html):
        return value
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, dict | list):
        text = json.dumps(value, default=str)
        return f"<code>{escape(text if len(text) <= LONG else text[:LONG] + ' …')}</code>"
    return escape(str(value))
