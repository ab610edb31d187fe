"""Where and with what a measurement was made."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
LIBRARIES = ("torch", "diffusers", "numpy")


@dataclass(frozen=True)
class Run:
    """One call of a benchmark: machine, versions, command."""

    machine: dict[str, str | int | None]
    versions: dict[str, str]
    command: str


def this_run(home: Path) -> Run:
    """This process, on this machine, now."""
    return Run(machine(), versions(), command(home))


def machine() -> dict[str, str | int | None]:
    """Processor, usable cores, torch's threads, memory in GB, GPU or None."""
    return {
        "cpu": cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


@cache
def cpu() -> str:
    """Name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@cache
def versions() -> dict[str, str]:
    """Of Python, the libraries and the project's commit (`-dirty`: with changes not committed)."""
    found = {"python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in LIBRARIES}
    return found | {"commit": commit()}


def commit() -> str:
    """The checkout's commit, or `unknown` where there is no git."""
    call = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        told = subprocess.run(call, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return told.stdout.strip()


def command(home: Path) -> str:
    """The command of this process; without `--results`, the home folder by its variable's name."""
    module, arguments = Path(sys.argv[0]).stem, sys.argv[1:]
    if "--results" in arguments:
        at = arguments.index("--results")
        arguments = arguments[:at] + arguments[at + 2 :]
    kept = ("$FOGLAB_HOME" if argument == str(home) else argument for argument in arguments)
    return " ".join(["python -m", f"benchmarks.{module}", *kept])
