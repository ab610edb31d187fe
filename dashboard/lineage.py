"""A lineage as a graph and as a table; no Streamlit calls."""

from collections.abc import Sequence

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


def what(node: LineageNode) -> str:
    """What it is, in a word."""
    if node.kind in ("ingest", "derive"):
        return "Dataset"
    return "Logs" if node.kind == "upload" else words.kind(node.kind)


def mermaid(nodes: Sequence[LineageNode], current: str) -> str:
    """Ids are the nodes, so nothing a user typed is part of the syntax."""
    lines = ["graph LR"]
    for node in nodes:
        name = "".join(c for c in node.name if c.isalnum() or c in " -_.")
        told = f"SHA-256 {node.sha256[:10]}…" if node.sha256 else f"{node.id[:11]}…"
        lines.append(f'{node.id}["{what(node)}<br/>{name}<br/>{told}"]')
        lines += [f"{source} --> {node.id}" for source in node.made_from]
    lines.append(f"style {current} stroke-width:3px")
    return "\n".join(lines)


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
