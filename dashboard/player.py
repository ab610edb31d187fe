"""Videos on one clock with their numbers under a common marker: data for `player.js`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import streamlit as st

from core.jobs.replies import EpisodeData, RolloutItem

_HERE = Path(__file__).parent
_PLAYER = st.components.v2.component(
    "foglab_player",
    html='<div class="player"></div>',
    css=(_HERE / "player.css").read_text(),
    js=(_HERE / "player.js").read_text(),
)
Numbers = Sequence[float | None]


@dataclass(frozen=True)
class Video:
    """One video; all of a player have the same rate and length."""

    label: str
    url: str


@dataclass(frozen=True)
class Line:
    """One line of a panel; value i belongs to frame `i + offset` of the panel."""

    label: str
    values: Numbers
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines over the frames of the videos."""

    title: str
    lines: Sequence[Line]
    offset: int = 0
    unit: str = ""


@dataclass(frozen=True)
class Scene:
    """What one player shows. A new `id` starts it anew; else it plays on through a redraw."""

    id: str
    fps: float
    videos: Sequence[Video]
    panels: Sequence[Panel] = field(default_factory=list)
    wide: bool = False
    """Videos above the panels instead of beside them."""
    autoplay: bool = False
    start: int = 0
    """Frame to show first; negative ones count from the end."""


def show(scene: Scene, key: str) -> None:
    """Draw the player."""
    _PLAYER(data=asdict(scene), key=key)


def episode_scene(
    dataset_id: str,
    episode: EpisodeData,
    url: str,
    names: Mapping[str, Sequence[str]] | None = None,
    start: int = 0,
) -> Scene:
    """One logged episode with its actions, state, rewards and labels; `names` of the columns."""
    named = names or {}
    panels = [Panel("Actions", _columns("action", episode.actions[:-1], named.get("actions")))]
    if episode.reward is not None:
        panels.append(Panel("Reward", [Line("reward", episode.reward[:-1])]))
    if episode.state is not None:
        panels.append(Panel("State", _columns("state", episode.state, named.get("state"))))
    labels = {"success": episode.success, "terminated": episode.terminated}
    lines = [Line(n, [float(v) for v in values]) for n, values in labels.items() if values]
    if lines:
        panels.append(Panel("Labels", lines))
    video = Video(f"Episode {episode.n}", url)
    name = f"{dataset_id}/{episode.n}/{start}"
    return Scene(name, episode.fps, [video], panels, start=start)


def rollout_scene(rollout_id: str, item: RolloutItem, fps: float, urls: Mapping[str, str]) -> Scene:
    """Real beside imagined; `urls` by name: real, imagined, dream, difference, or video (both)."""
    policy = item.kind == "policy"
    labels = {
        "real": "Policy in the true simulator" if policy else "Real",
        "imagined": "Policy in imagination" if policy else "Imagined",
        "dream": "Local model's dream",
        "difference": "Difference",
        "video": "Real and imagined",
    }
    videos = [Video(labels[name], url) for name, url in urls.items()]
    panels = []
    if item.psnr:
        lines = [Line("imagined", item.psnr)]
        lines += [Line("dream", item.psnr_dream)] if item.psnr_dream else []
        if item.static_psnr:
            lines.append(Line("still picture", item.static_psnr, dashed=True))
        panels.append(Panel("Likeness of the frames (PSNR, more is better)", lines, 1, "dB"))
    rewards = {
        "imagined": item.reward_imagined,
        "dream": item.reward_dream,
        "real": item.reward_real,
    }
    if any(rewards.values()):
        lines = [Line(name, values) for name, values in rewards.items() if values]
        panels.append(Panel("Reward", lines, 1))
    shown = ",".join(urls)
    name = f"{rollout_id}/{item.n}/{shown}"
    return Scene(name, fps, videos, panels, wide=True, autoplay=True)


def item_label(item: RolloutItem) -> str:
    """What one item of a rollout shows."""
    if item.kind == "policy":
        return f"{item.n}: the policy, in both worlds"
    return f"{item.n}: logged actions, episode {item.episode} from frame {item.start}"


def _columns(name: str, rows: Sequence[Sequence[float]], names: Sequence[str] | None) -> list[Line]:
    columns = list(zip(*rows, strict=True))
    told = names or [f"{name} {n}" for n in range(len(columns))]
    return [Line(label, list(column)) for label, column in zip(told, columns, strict=True)]
