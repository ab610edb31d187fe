"""One folder per saved step: tensors in safetensors, the rest in JSON, whole or absent."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file

from core.artifacts import sync

KEEP = 2


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
    """Write `folder/<step>`: temporary folder, fsync, checksums, rename, fsync; keep the last two."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary, final = folder / f".{step:08d}.{os.getpid()}", folder / f"{step:08d}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    tensors: dict[str, torch.Tensor] = {}
    state = {name: _split(part.state_dict(), tensors) for name, part in parts.items()}
    save_file(tensors, temporary / "tensors.safetensors")
    (temporary / "state.json").write_text(json.dumps({"step": step, "parts": state}))
    sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in temporary.iterdir()}
    (temporary / "manifest.json").write_text(json.dumps(sums))
    for path in (*temporary.iterdir(), temporary):
        sync(path)
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
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
    return 0


def _whole(path: Path) -> bool:
    try:
        sums: dict[str, str] = json.loads((path / "manifest.json").read_text())
        return {"tensors.safetensors", "state.json"} <= sums.keys() and all(
            hashlib.sha256((path / name).read_bytes()).hexdigest() == digest
            for name, digest in sums.items()
        )
    except (OSError, ValueError):
        return False


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
