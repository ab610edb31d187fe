"""What a job took of its machine, measured at its end; later estimates scale it."""

import resource
import sys
from pathlib import Path


def cost(training_seconds: float | None, *folders: Path) -> dict[str, float]:
    """Peak memory of this process, of its GPU if it used one, and the size of what it wrote."""
    found: dict[str, float] = {
        # Linux counts kibibytes.
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "disk_bytes": sum(
            f.stat().st_size for folder in folders for f in folder.rglob("*") if f.is_file()
        ),
    }
    torch = sys.modules.get("torch")  # looked up: an ingest must not pay for its import
    if torch is not None and torch.cuda.is_available():
        found["gpu_memory_bytes"] = int(torch.cuda.max_memory_allocated())
    if training_seconds is not None:
        found["training_seconds"] = round(training_seconds, 3)
    return found
