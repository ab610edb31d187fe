"""What every training loop shares: resuming, saving, stopping, learning-rate shape."""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from core.artifacts import make_folder
from core.recorder import Cancelled, Recorder
from core.training.checkpoint import Stateful, restore, save_checkpoint


def resumable_steps(
    total: int, parts: Mapping[str, Stateful], folder: Path, save_every: int, recorder: Recorder
) -> Iterator[int]:
    """Step numbers from the newest checkpoint to `total`.

    Restores `parts` first, saves them every `save_every` steps, at the end, and when cancelled.
    """
    make_folder(folder)
    start = restore(folder, parts)
    if start < total:  # a finished loop leaves the metrics of what came after it alone
        recorder.rewind(start)
    for step in range(start, total):
        try:
            recorder.raise_if_cancelled()
        except Cancelled:
            save_checkpoint(folder, step, parts)
            raise
        yield step
        if (step + 1) % save_every == 0 or step + 1 == total:
            save_checkpoint(folder, step + 1, parts)


def warm_up_then_cosine(total: int, warm_up: int = 50) -> Callable[[int], float]:
    """Learning-rate factor: linear up, then half a cosine down to a twentieth."""

    def factor(step: int) -> float:
        rise = min(1.0, (step + 1) / warm_up)
        return rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, total)))))

    return factor
