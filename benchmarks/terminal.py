"""A benchmark's summary on the terminal."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def print_summary(title: str, summary: Sequence[Mapping[str, Any]]) -> None:
    """The summary as a table on the terminal."""
    shown = Table(title=title)
    for column in summary[0]:
        shown.add_column(column)
    for line in summary:
        shown.add_row(*(cell(value) for value in line.values()))
    width = None if sys.stdout.isatty() else 160
    Console(width=width).print(shown)


def cell(value: Any) -> str:
    """A value as the terminal shows it: `0.97 [0.94, 0.98]` for a mean with its interval."""
    if isinstance(value, Mapping) and "interval" in value:
        low_high = value["interval"]
        return cell(value["mean"]) + (f" [{', '.join(map(cell, low_high))}]" if low_high else "")
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value))
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)
