"""Where tensors live: random numbers, batches and precision, without making the host wait.

`python -m core.devices` says in JSON what there is to compute on.
"""

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import numpy as np
import torch
from torch import Tensor


def generator_for(device: torch.device, seed: int) -> torch.Generator:
    """A generator on the device that computes, so that noise need not be carried over.

    A seed gives the same numbers on every CPU, and others on a GPU.
    """
    return torch.Generator(device).manual_seed(seed)


def normal(
    shape: tuple[int, ...], generator: torch.Generator, device: torch.device | None = None
) -> Tensor:
    """Standard normal numbers, drawn on the generator's device, on `device` if one is given."""
    drawn = torch.randn(shape, generator=generator, device=generator.device)
    return drawn.to(device) if device else drawn


def uniform(
    shape: tuple[int, ...], generator: torch.Generator, device: torch.device | None = None
) -> Tensor:
    """Numbers uniform in [0, 1), drawn and placed as `normal`."""
    drawn = torch.rand(shape, generator=generator, device=generator.device)
    return drawn.to(device) if device else drawn


def upload(array: np.ndarray, device: torch.device) -> Tensor:
    """The array on a device; to a GPU from pinned memory, so that the host goes on at once."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@cache
def bf16_pays(kind: str) -> bool:
    """Whether devices of a kind, `cpu` or `cuda`, multiply faster in bfloat16 than in float32.

    Those that emulate it do not: on a processor with AVX2 alone products take seven times as long.
    Nor do Intel's without AMX, whose AVX-512 has a slow instruction for it: convolutions reach 0.56
    of their rate in float32 on an Emerald Rapids; AMD's reaches about twice that rate.
    """
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    if able.get("amx_bf16", False) or able.get("bf16", False):  # the latter is Arm's name
        return True
    return able.get("avx512_bf16", False) and "Intel" not in able.get("cpu_name", "")


def bf16(device: torch.device, wanted: bool) -> AbstractContextManager[object]:
    """Mixed precision: products in bfloat16, sums and states in float32; where it pays."""
    if not (wanted and bf16_pays(device.type)):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def casts_kept(device: torch.device, wanted: bool) -> AbstractContextManager[object]:
    """Inside, `bf16` casts each weight once; without, at every use. Weights must not change inside.

    Autocast drops its casts when the outermost context ends; this one is that, and casts nothing.
    """
    if not (wanted and bf16_pays(device.type)):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def describe() -> dict[str, object]:
    """Version of torch, names of the GPUs that it can use, and whether it trains in bfloat16."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "torch": torch.__version__,
        "gpus": gpus,
        "bf16": bf16_pays("cuda" if gpus else "cpu"),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(describe()) + "\n")
