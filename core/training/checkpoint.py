"""One folder per saved step: tensors in safetensors, the rest in JSON, whole or absent."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file

from core.artifacts import sync
from core.disk import make_room

KEEP = 2
log = logging.getLogger("foglab.checkpoint")


class Stateful(Protocol):
    """A module, an optimizer, or anything else with a state to restore."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class GeneratorState:
    """A torch generator as a `Stateful`."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.generator.get_state(), "device": self.generator.device.type}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        made, here = state_dict["device"], self.generator.device.type
        if made != here:
            raise ValueError(
                f"this run began on {made} and cannot go on with the same random numbers on "
                f"{here}: resume it on a machine like the first, or submit the job anew"
            )
        self.generator.set_state(state_dict["state"])


def save_checkpoint(folder: Path, step: int, parts: Mapping[str, Stateful]) -> None:
    """Write `folder/<step>`: temporary folder, fsync, checksums, rename, fsync; keep the last two.

    The parent of `folder` must exist: a run that was given to another attempt has been moved, and
    what a stale process still wants to save must fail. Raises `DiskFull`, or what the system says
    about a full disk; the checkpoints of before stay as they are.
    """
    final = folder / f"{step:08d}"
    if _whole(final):
        return  # what follows a step depends on seed and step: this is the same one again
    folder.mkdir(exist_ok=True)
    tensors: dict[str, torch.Tensor] = {}
    state = {name: _split(part.state_dict(), tensors) for name, part in parts.items()}
    text = json.dumps({"step": step, "parts": state})
    make_room(folder, len(text) + sum(t.nbytes for t in tensors.values()))
    temporary = folder / f".{step:08d}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        save_file(tensors, temporary / "tensors.safetensors")
        (temporary / "state.json").write_text(text)
        sums = {p.name: _digest(p) for p in temporary.iterdir()}
        (temporary / "manifest.json").write_text(json.dumps(sums))
        for path in (*temporary.iterdir(), temporary):
            sync(path)
        if final.exists():  # damaged: out of the way in one step
            final.rename(folder / f".{step:08d}.damaged")
        temporary.rename(final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)  # its room is needed
        raise
    sync(folder)
    for old in sorted(p for p in folder.iterdir() if p.name.isdigit())[:-KEEP]:
        shutil.rmtree(old)
    for leftover in folder.glob(".*"):
        shutil.rmtree(leftover, ignore_errors=True)


def restore(folder: Path, parts: Mapping[str, Stateful]) -> int:
    """Load the newest whole checkpoint into `parts`; its step, or 0 when there is none."""
    if not folder.is_dir():
        return 0
    for path in sorted((p for p in folder.iterdir() if p.name.isdigit()), reverse=True):
        if _whole(path):
            saved = json.loads((path / "state.json").read_text())
            tensors = load_file(path / "tensors.safetensors")
            for name, part in parts.items():
                part.load_state_dict(_join(saved["parts"][name], tensors))
            return int(saved["step"])
        log.warning("checkpoint %s is damaged and is passed over", path.name)
    return 0


def _whole(path: Path) -> bool:
    try:
        sums: dict[str, str] = json.loads((path / "manifest.json").read_text())
        return {"tensors.safetensors", "state.json"} <= sums.keys() and all(
            _digest(path / name) == digest for name, digest in sums.items()
        )
    except (OSError, ValueError, AttributeError):
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _split(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """`value` with its tensors moved to `tensors`; mappings become pairs, so that int keys last."""
    if isinstance(value, torch.Tensor):
        key = str(len(tensors))
        # own memory: safetensors refuses tensors that share it
        tensors[key] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": key}
    if isinstance(value, Mapping):
        return {"pairs": [[k, _split(v, tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"items": [_split(v, tensors) for v in value]}
    return {"value": value}


def _join(value: dict[str, Any], tensors: Mapping[str, torch.Tensor]) -> Any:
    kind, content = next(iter(value.items()))
    if kind == "tensor":
        return tensors[content]
    if kind == "pairs":
        return {k: _join(v, tensors) for k, v in content}
    if kind == "items":
        return [_join(v, tensors) for v in content]
    return content
