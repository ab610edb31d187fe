"""A lineage as a drawing and as a table; no Streamlit calls."""

from collections.abc import Sequence
from html import escape

from core.jobs.replies import LineageNode
from dashboard import words

PAGES = {
    "ingest": "datasets?dataset=",
    "derive": "datasets?dataset=",
    "global_model": "models?model=",
    "local_model": "models?model=",
    "policy": "models?model=",
    "rollout": "rollouts?rollout=",
}
"""Kind to the page that shows such an artifact."""
MOST_ROWS = 10
"""Nodes drawn of one column; the table has all."""


def what(node: LineageNode) -> str:
    """What it is, in a word."""
    if node.kind in ("ingest", "derive"):
        return "Dataset"
    return "Logs" if node.kind == "upload" else words.kind(node.kind)


def columns(nodes: Sequence[LineageNode], current: str) -> list[list[LineageNode]]:
    """By the longest way from the logs; of a crowded column the newest, and always `current`."""
    known = {n.id: n for n in nodes}
    depth: dict[str, int] = {}
    for node in nodes:  # sources come first
        depth[node.id] = max((depth[s] + 1 for s in node.made_from if s in depth), default=0)
    found: list[list[LineageNode]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name, at in depth.items():
        found[at].append(known[name])
    return [_newest(column, current) for column in found]


def _newest(column: list[LineageNode], current: str) -> list[LineageNode]:
    if len(column) <= MOST_ROWS:
        return column
    rest = [n for n in column if n.id != current]
    own = [n for n in column if n.id == current]
    return own + rest[-(MOST_ROWS - len(own)) :]


def drawing(nodes: Sequence[LineageNode], current: str) -> str:
    """HTML of boxes in columns, from what was used on the left to what was made of it."""
    drawn = [
        f'<div style="display:flex;flex-direction:column;gap:8px">'
        f"{''.join(_box(node, node.id == current) for node in column)}</div>"
        for column in columns(nodes, current)
    ]
    arrow = '<div aria-hidden="true" style="font-size:1.3rem">→</div>'
    told = escape(f"Lineage of {current}: {len(nodes)} artifacts, listed in the table below")
    return (
        f'<div role="group" aria-label="{told}" tabindex="0" style="display:flex;'
        f'align-items:center;gap:6px;overflow-x:auto;padding:4px">{arrow.join(drawn)}</div>'
    )


def _box(node: LineageNode, chosen: bool) -> str:
    frame = "2.5px solid #4c8dff" if chosen else "1px solid rgba(128,128,128,0.55)"
    about = f"SHA-256 {node.sha256[:10]}…" if node.sha256 else node.id
    lines = "<br>".join(escape(_short(line)) for line in (node.name, about))
    return (
        f'<div style="border:{frame};border-radius:6px;padding:6px 10px;width:142px;'
        f'font-size:12px;line-height:1.35;overflow-wrap:anywhere"><b>{escape(what(node))}</b>'
        f"<br>{lines}</div>"
    )


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def rows(nodes: Sequence[LineageNode]) -> list[dict[str, str | None]]:
    """One row each, in order of making."""
    return [
        {
            "What": what(node),
            "Name": node.name,
            "Id": node.id,
            "Made of": ", ".join(node.made_from),
            "SHA-256 of the logs": node.sha256 or "",
            "Page": f"{PAGES[node.kind]}{node.id}" if node.kind in PAGES else None,
        }
        for node in nodes
    ]
