"""On a small disk: saves that run out of room at many points. Prints what happened as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from core import disk
from core.training import checkpoint
from core.training.checkpoint import restore, save_checkpoint
from tests.faults import deeds
from tests.faults.small_disk import Filler

BLOCK = 4096


class Part(deeds.Part):
    """A checkpoint of about a hundred blocks."""

    def state_dict(self) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(self.step)
        return {"weights": torch.rand(100_000, generator=generator), "step": self.step}


def main(folder: Path, points: int) -> None:
    filler = Filler(folder)
    checkpoint.make_room = lambda path, size: None  # the guard would refuse before the disk does
    run = folder / "run"
    save_checkpoint(run, 1, {"part": Part(1)})
    needed = sum(-(-p.stat().st_size // BLOCK) * BLOCK for p in run.glob("*/*"))
    failed = 0
    for n in range(points):
        filler.leave(needed * n // points)
        try:
            save_checkpoint(run, 2, {"part": Part(2)})
        except Exception as error:
            if not disk.is_full(error):
                raise
            failed += 1
        else:
            raise AssertionError(f"there was room at point {n} of {points}")
        part = Part(0)
        assert restore(run, {"part": part}) == 1
        assert torch.equal(part.loaded["weights"], Part(1).state_dict()["weights"])
        assert [p.name for p in run.iterdir()] == ["00000001"], "something is left"
    filler.free()
    save_checkpoint(run, 2, {"part": Part(2)})
    assert restore(run, {"part": Part(0)}) == 2
    sys.stdout.write(json.dumps({"failed": failed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
