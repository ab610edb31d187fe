"""`foglab doctor`: what is right and what is wrong with an installation, and what to do."""

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from core.jobs.database import sqlite_is_safe, sqlite_module
from core.jobs.environment import Environment
from foglab.client import ServiceClient
from foglab.finding import Finding
from foglab.running import running

MIN_FREE_BYTES = 5 << 30
_TORCH_SECONDS = 120.0


def findings(environment: Environment, client: Callable[[], ServiceClient]) -> list[Finding]:
    """All checks; none of them changes anything."""
    return [
        _python(),
        *_packages(environment),
        _sqlite(environment),
        *_home(environment.home),
        _isolation(),
        _processors(),
        *running(environment, client),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    well = (3, 11) <= sys.version_info[:2] < (3, 13)
    return Finding("Python", well, version if well else f"{version}; use 3.11 or 3.12")


def _packages(environment: Environment) -> Iterator[Finding]:
    """Each container of a lab has only what its program needs; one machine needs all."""
    for name in ("torch", "celery", "fastapi", "streamlit", "av"):
        try:
            yield Finding(name, True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            if environment.database_url.startswith("sqlite"):
                yield Finding(name, False, "is not installed; run `make setup` again")


def _sqlite(environment: Environment) -> Finding:
    """The library that is really loaded: a package's number does not tell."""
    if not environment.database_url.startswith("sqlite"):
        return Finding("SQLite", True, "not used")
    told = f"{sqlite_module().sqlite_version} of {sqlite_module().__name__.split('.')[0]}"
    if sqlite_is_safe():
        return Finding("SQLite", True, told)
    return Finding("SQLite", True, f"{told}, too old for WAL: slower journal is used")


def _home(home: Path) -> Iterator[Finding]:
    if not home.is_dir():
        yield Finding("Storage", False, f"{home} does not exist; `foglab up` makes it")
        return
    well = os.access(home, os.W_OK)
    yield Finding("Storage", well, f"{home}" if well else f"{home} is not writable for you")
    free = shutil.disk_usage(home).free
    told = f"{free / 1e9:.1f} GB free"
    yield Finding(
        "Disk", free > MIN_FREE_BYTES, told if free > MIN_FREE_BYTES else f"{told}; make room"
    )


def _isolation() -> Finding:
    from core.sandbox import support

    found = support()
    told = f"{found}; {found.missing}" if found.missing else str(found)
    return Finding("Isolation", found.full, f"uploads are read under {told}")


def _processors() -> Finding:
    """What torch can use, against what the machine has."""
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"))
    cores = f"{os.cpu_count()} CPU cores"
    if importlib.util.find_spec("torch") is None:
        return Finding("Processors", True, f"{cores}; no torch: models run in other programs")
    command = [sys.executable, "-m", "core.devices"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TORCH_SECONDS, check=True
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Finding("Processors", False, f"torch cannot be loaded: {error}; `make setup` again")
    if devices and not found["gpus"]:
        told = f"{len(devices)} NVIDIA devices that torch {found['torch']} cannot use"
        return Finding("Processors", False, f"{cores}, {told}; install its CUDA build")
    gpus = ", ".join(found["gpus"]) or "no GPU"
    kind = "bfloat16" if found["bf16"] else "float32, faster here than bfloat16"
    return Finding("Processors", True, f"{cores}, {gpus}; trains in {kind}")
