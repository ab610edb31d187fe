"""One imagined course of events beside the real one, as arrays without loss."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class ImaginedEpisode:
    """T steps: frame 0 is common to both, row t of the rest is what step t did and earned."""

    real: np.ndarray
    """(T + 1, H, W, 3) u8."""
    imagined: np.ndarray
    """(T + 1, H, W, 3) u8."""
    actions: np.ndarray
    """(T, A) f32: those that the imagined frames follow from."""
    reward: np.ndarray
    """(T,) f32: what the model expects."""

    def save(self, path: Path) -> None:
        """Write an npz file."""
        with path.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **vars(self))

    @staticmethod
    def load(path: Path) -> "ImaginedEpisode":
        """`ValueError` if the file lacks an array."""
        with np.load(path, allow_pickle=False) as arrays:
            fields = {f: arrays[f] for f in ImaginedEpisode.__dataclass_fields__ if f in arrays}
        if missing := ImaginedEpisode.__dataclass_fields__.keys() - fields.keys():
            raise ValueError(f"{path.name} lacks {sorted(missing)}: imagine the rollouts again")
        return ImaginedEpisode(**fields)
