"""A policy step in files that other programs open, and each of them opened again."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch.export import Dim, ExportedProgram

from core.policy.runners import INPUTS, ONNX, OUTPUTS, PROGRAM
from core.policy.step import PolicyStep


def traced(step: PolicyStep) -> ExportedProgram:
    """The step as a graph: `image` is uint8 there, and the batch may have any size."""
    side = step.config.local.image_size
    image = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    noise = torch.zeros(2, step.config.actor.action_dim)
    example = (image, step.initial(2), torch.ones(2, dtype=torch.bool), noise)
    batch = Dim("batch", min=1, max=1 << 16)
    with torch.no_grad():
        return torch.export.export(step, example, dynamic_shapes={i: {0: batch} for i in INPUTS})


def write_program(step: PolicyStep, folder: Path) -> None:
    """`policy.pt2`, for `torch.export.load`; needs torch, and no code of this project."""
    program = traced(step)
    program.example_inputs = None  # zeros that would be kept as a pickle
    torch.export.save(program, folder / PROGRAM)


def write_onnx(step: PolicyStep, folder: Path) -> None:
    """`policy.onnx`, in one file. `ValueError` if the packages of the extra are missing."""
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ValueError(
            "ONNX needs packages that are not installed here: pip install 'foglab[onnx]', or "
            "leave onnx out of the formats"
        ) from error
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it warns of each torchvision operator that it will not need
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = torch.onnx.export(
                traced(step), input_names=INPUTS, output_names=OUTPUTS, verbose=False
            )
    finally:
        quiet.setLevel(level)
    assert graph is not None
    graph.save(folder / ONNX)


WRITERS: dict[str, Callable[[PolicyStep, Path], None]] = {
    "safetensors": PolicyStep.save,
    "torch": write_program,
    "onnx": write_onnx,
}
"""Format to what writes it into a folder beside `config.json`."""
