"""What happened in a session, as robot logs that ingest reads."""

import io
import json
import zipfile
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.envs.logs import npz_bytes
from core.simulation.pictures import Frame


@dataclass
class Take:
    """One episode: a frame more than steps."""

    frames: list[Frame]
    actions: list[NDArray[np.float32]] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    ends: list[bool] = field(default_factory=list)


class Recording:
    """Episodes of one world; beyond `most_steps` in all nothing is added."""

    def __init__(self, most_steps: int) -> None:
        self._most, self._takes = most_steps, list[Take]()

    @property
    def steps(self) -> int:
        return sum(len(t.actions) for t in self._takes)

    @property
    def episodes(self) -> int:
        """Those with a step in them."""
        return sum(bool(t.actions) for t in self._takes)

    @property
    def full(self) -> bool:
        return self.steps >= self._most

    def begin(self, frame: Frame) -> None:
        """A new episode."""
        self._takes = [t for t in self._takes if t.actions] + [Take([frame])]

    def add(self, action: NDArray[np.float32], frame: Frame, reward: float, end: bool) -> None:
        """One step of the present episode."""
        if self.full:
            return
        take = self._takes[-1]
        take.frames.append(frame)
        take.actions.append(action)
        take.rewards.append(reward)
        take.ends.append(end)

    def logs(self, fps: float, action_kind: str, task: str | None) -> bytes:
        """A zip of one npz per episode and a `meta.json`."""
        meta = {"fps": fps, "action_kind": action_kind, "task": task}
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("meta.json", json.dumps({k: v for k, v in meta.items() if v}))
            for n, take in enumerate(t for t in self._takes if t.actions):
                archive.writestr(f"episode_{n:05d}.npz", _npz(take))
        return sink.getvalue()


def _npz(take: Take) -> bytes:
    return npz_bytes(
        {
            "image": np.stack(take.frames),
            "action": np.stack(take.actions),
            "reward": np.array(take.rewards, np.float32),
            "terminated": np.array(take.ends, np.bool_),
        }
    )
