"""What went into an artifact, and what came of it."""

from collections.abc import Sequence

from core.jobs.replies import LineageNode


def products(nodes: Sequence[LineageNode], of: str) -> list[LineageNode]:
    """Of a lineage, in order of making, all that goes back to `of`."""
    found = {of}
    made = []
    for node in nodes:
        if any(source in found for source in node.made_from):
            found.add(node.id)
            made.append(node)
    return made
