"""What the GPUs of this machine do, as the driver's own program tells it."""

import csv
import shutil
import subprocess

from core.jobs.records import Gpu

_FIELDS = "index,name,memory.used,memory.total,utilization.gpu"
_SECONDS = 10.0


def read_gpus() -> list[Gpu]:
    """All NVIDIA GPUs that can be seen; none where there is no driver, or it does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return parse(told.stdout)


def parse(text: str) -> list[Gpu]:
    """Lines of index, name, MiB used, MiB in all, percent; what is not told counts 0."""
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return [
        Gpu(
            index=int(index),
            name=name,
            memory_used=int(_number(used) * 2**20),
            memory_total=int(_number(total) * 2**20),
            use=_number(percent) / 100,
        )
        for index, name, used, total, percent in (r for r in rows if len(r) == 5)
    ]


def _number(text: str) -> float:
    """Some GPUs answer `[N/A]`."""
    try:
        return float(text)
    except ValueError:
        return 0.0
