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
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 176, 52, 44, 12


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


def svg(nodes: Sequence[LineageNode], current: str) -> str:
    """Boxes from left to right with arrows from what was used to what was made of it."""
    drawn = columns(nodes, current)
    places = {
        node.id: (x * (_WIDTH + _GAP_X) + 2, y * (_HEIGHT + _GAP_Y) + 2)
        for x, column in enumerate(drawn)
        for y, node in enumerate(column)
    }
    width = len(drawn) * (_WIDTH + _GAP_X) - _GAP_X + 4
    height = max((len(c) for c in drawn), default=0) * (_HEIGHT + _GAP_Y) + 4
    arrows = [
        _arrow(places[source], places[node.id])
        for node in nodes
        for source in node.made_from
        if source in places and node.id in places
    ]
    boxes = [_box(n, places[n.id], n.id == current) for n in nodes if n.id in places]
    told = escape(f"Lineage of {current}: {len(nodes)} artifacts, listed in the table below")
    return (
        f'<div style="overflow-x:auto"><svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-label="{told}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" fill="none" font-size="12">'
        f"{''.join(arrows)}{''.join(boxes)}</svg></div>"
    )


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x0, y0 = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    x1, y1 = end[0], end[1] + _HEIGHT // 2
    middle = (x0 + x1) // 2
    path = f"M{x0} {y0} C{middle} {y0} {middle} {y1} {x1} {y1}"
    head = f"M{x1 - 5} {y1 - 4} L{x1} {y1} L{x1 - 5} {y1 + 4}"
    return f'<path d="{path} {head}" stroke="currentColor" stroke-opacity="0.45"/>'


def _box(node: LineageNode, place: tuple[int, int], chosen: bool) -> str:
    x, y = place
    frame = 'stroke="#1a5fcc" stroke-width="2.5"' if chosen else 'stroke="currentColor"'
    about = f"SHA-256 {node.sha256[:10]}…" if node.sha256 else node.id
    lines = ((what(node), 16, 600), (_short(node.name), 31, 400), (_short(about), 45, 400))
    text = "".join(
        f'<text x="{x + 9}" y="{y + dy}" fill="currentColor" font-weight="{weight}">'
        f"{escape(line)}</text>"
        for line, dy, weight in lines
    )
    box = f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" {frame}/>'
    return f"<g>{box}{text}</g>"


def _short(text: str, most: int = 27) -> str:
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
