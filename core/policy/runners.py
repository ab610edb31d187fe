"""Exported policies, run: frames and memory as numpy arrays in, actions and memory out.

ONNX runs without torch, which is loaded for the other formats only.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.float32], NDArray[np.float32]]
Inputs = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]
StepFunction = Callable[[*Inputs], Arrays]
"""Frames (B, H, W, 3) u8, memory (B, S) f32, resets (B,) bool and noise (B, A) f32, zeros for none,
to actions (B, A) and the next memory (B, S)."""

INPUTS, OUTPUTS = ("image", "state", "reset", "noise"), ("action", "next_state")
MODEL, PROGRAM, ONNX = "model.safetensors", "policy.pt2", "policy.onnx"
FILES = {"onnx": ONNX, "torch": PROGRAM, "safetensors": MODEL}
"""Format to the file that tells it, the quickest to load first."""


@dataclass(frozen=True)
class Runner:
    """A policy that acts in any number of episodes side by side."""

    config: dict[str, Any]
    """The export's `config.json`."""
    format: str
    step: StepFunction

    def initial(self, batch: int) -> NDArray[np.float32]:
        """The memory before anything was seen."""
        return np.zeros((batch, self.config["state_dim"]), np.float32)

    def noise(self, batch: int, rng: np.random.Generator | None = None) -> NDArray[np.float32]:
        """For the next step: zeros, or to draw actions, numbers from `rng`."""
        shape = (batch, self.config["action_dim"])
        return (np.zeros(shape) if rng is None else rng.normal(size=shape)).astype(np.float32)


def open_export(folder: Path, format: str | None = None) -> Runner:
    """A folder that an export job wrote; `ValueError` if it holds none, or not this format."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{folder} is no exported policy: it has no config.json") from None
    there = [f for f, name in FILES.items() if (folder / name).is_file()]
    if not there or "state_dim" not in config:
        raise ValueError(f"{folder} is no exported policy: it has none of {', '.join(FILES)}")
    if "noise" not in config.get("inputs", ()):
        raise ValueError(f"{folder} was exported before actions could be drawn: export it again")
    chosen = format or there[0]
    if chosen not in there:
        raise ValueError(f"{folder} holds {', '.join(there)}, not {chosen}")
    return Runner(config, chosen, OPENERS[chosen](folder))


def open_model(folder: Path, told: Mapping[str, Any] | None = None) -> Runner:
    """A policy's own folder, as its job left it; `told` is what an export would know besides."""
    from core.policy.step import PolicyStep

    if not (folder / "local" / "config.json").is_file():
        raise ValueError(f"{folder} is no policy: it has no local model beside the actor")
    step = PolicyStep.of_folder(folder)
    return Runner({**step.sizes(), **(told or {})}, "policy", of_module(step))


def open_onnx(folder: Path) -> StepFunction:
    """`policy.onnx` on the processor; `ValueError` if onnxruntime is missing."""
    try:
        from onnxruntime import InferenceSession, SessionOptions
    except ImportError as error:
        raise ValueError(
            "running ONNX needs onnxruntime: pip install 'foglab[onnx]', or use another format"
        ) from error
    options = SessionOptions()
    options.intra_op_num_threads = 1  # others would spin between steps, for a graph this small
    session = InferenceSession(folder / ONNX, options, providers=["CPUExecutionProvider"])

    def step(*inputs: *Inputs) -> Arrays:
        action, after = session.run(None, dict(zip(INPUTS, inputs, strict=True)))
        return action, after

    return step


def open_program(folder: Path) -> StepFunction:
    """`policy.pt2`, run by torch alone."""
    import torch

    return of_module(torch.export.load(folder / PROGRAM).module())


def open_safetensors(folder: Path) -> StepFunction:
    """`config.json` and `model.safetensors`, run by the code of this project."""
    from core.policy.step import PolicyStep

    return of_module(PolicyStep.load(folder))


OPENERS: dict[str, Callable[[Path], StepFunction]] = {
    "onnx": open_onnx,
    "torch": open_program,
    "safetensors": open_safetensors,
}


def of_module(module: Any) -> StepFunction:
    """A torch module with the signature of `PolicyStep`."""
    import torch

    def step(*inputs: *Inputs) -> Arrays:
        with torch.no_grad():
            found = module(*(torch.from_numpy(np.array(part)) for part in inputs))
        action, after = (part.numpy() for part in found)
        return action, after

    return step
