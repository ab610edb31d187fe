"""A table of episodes that people edit, and what their edits ask of the service."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.jobs.replies import Episode

Row = dict[str, Any]
NEVER = "never"


def rows(episodes: Sequence[Episode]) -> list[Row]:
    """One row per episode, as it is."""
    return [
        {
            "Keep": True,
            "Episode": e.n,
            "Frames": e.length,
            "Split": e.split,
            "Tags": ", ".join(e.tags),
            "Solved from": "",
            "Cut at": "",
            "Goal frames": "",
            "Source": e.source,
        }
        for e in episodes
    ]


def spec(before: Sequence[Row], after: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Fields of a derive job for what was changed; `ValueError` names the episode and the cell."""
    found: dict[str, Any] = {}
    dropped = [r["Episode"] for r in after if not r["Keep"]]
    if dropped:
        found["drop"] = dropped
    for old, new in zip(before, after, strict=True):
        n = new["Episode"]
        if _text(new["Tags"]) != old["Tags"]:
            tags = [t.strip() for t in _text(new["Tags"]).split(",") if t.strip()]
            found.setdefault("tags", {})[n] = tags
        if solved := _text(new["Solved from"]):
            never = solved.lower() == NEVER
            frame = None if never else _frames(n, "Solved from", solved, most=1)[0]
            found.setdefault("success", {})[n] = frame
        if cuts := _text(new["Cut at"]):
            found.setdefault("cuts", {})[n] = _frames(n, "Cut at", cuts)
        if goals := _text(new["Goal frames"]):
            frames = _frames(n, "Goal frames", goals)
            found.setdefault("goals", []).extend({"episode": n, "frame": f} for f in frames)
    return found


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _frames(n: int, column: str, text: str, most: int | None = None) -> list[int]:
    parts = text.replace(",", " ").split()
    try:
        found = [int(p) for p in parts]
    except ValueError:
        found = []
    if not found or (most is not None and len(found) > most):
        wanted = "one frame, or never" if most == 1 else "frames with commas between them"
        raise ValueError(f"Episode {n}, {column}: {text!r} is not {wanted}; frames count from 0")
    return found
