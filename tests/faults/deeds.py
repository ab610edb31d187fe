"""What is done under strace: `python -m tests.faults.deeds <deed> <folder>`."""

import contextlib
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from tests.faults.crash_states import BEGIN, END


class Part:
    """State that says which step it is of."""

    def __init__(self, step: int) -> None:
        self.step = step

    def state_dict(self) -> dict[str, Any]:
        import torch

        generator = torch.Generator().manual_seed(self.step)
        return {"weights": torch.rand(3000, generator=generator), "step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.loaded = state_dict


def mark(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.close(os.open(path, os.O_RDONLY))


def checkpoint(folder: Path) -> None:
    """The third checkpoint of a run."""
    from core.training.checkpoint import save_checkpoint

    mark(BEGIN)
    save_checkpoint(folder / "run", 3, {"part": Part(3)})
    mark(END)


def artifact(folder: Path) -> None:
    """A dataset from an attempt's folder to its place, the first of an installation."""
    from core.jobs.spec import IngestSpec
    from worker.publish import publish, seal

    mark(BEGIN)
    out = folder / "runs" / "attempt-1" / "out"
    (out / "previews").mkdir()
    (out / "frames.u8").write_bytes(bytes(range(250)) * 20)
    (out / "previews" / "0.mp4").write_bytes(b"moving" * 50)
    spec = IngestSpec(upload="up_" + "0" * 32, name="logs")
    seal(spec, "job_0000000000000000", "ds_0000000000000000", folder, out)
    publish(out, folder / "datasets" / "ds_0000000000000000" / "v1", lambda do: do())
    mark(END)


def careless(folder: Path) -> None:
    """The same without a single fsync: the recorder must find states that are half."""
    from core import artifacts
    from worker import publish

    artifacts.sync = publish.sync = lambda path: None  # type: ignore[assignment]
    publish._digest_and_sync = lambda path: {  # type: ignore[assignment]
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest()
    }
    artifact(folder)


def upload(folder: Path) -> None:
    """An upload from its announcement to its last byte; its row would follow."""
    from api.uploads import Announced, Uploads
    from core.artifacts import Artifacts
    from core.jobs.migrate import upgrade
    from core.jobs.store import Store

    url = f"sqlite:///{folder.parent}/rows.db"
    upgrade(url)
    data = bytes(range(256)) * 10
    uploads = Uploads(Artifacts(folder), Store.open(url))
    mark(BEGIN)
    one = uploads.create(Announced("logs", len(data), hashlib.sha256(data).hexdigest()))
    for start in (0, 1000):
        with uploads.writer(one, start) as writer:
            writer.write(data[start : start + 1000] if start == 0 else data[start:])
            writer.commit(None)
    mark(END)


if __name__ == "__main__":
    DEEDS = {"checkpoint": checkpoint, "artifact": artifact, "careless": careless, "upload": upload}
    DEEDS[sys.argv[1]](Path(sys.argv[2]))
