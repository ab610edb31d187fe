"""Imagined frames per second, and the share of this machine's measured convolution peak.

    python -m benchmarks.sampler [--batch 96] [--seconds 10]

The peak is the best rate of one 3x3 convolution on this machine in this run, over several shapes,
in the precision and memory layout that the sampler uses; both figures are medians of repeats.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.global_model.model import GlobalConfig, GlobalModel
from core.jobs.spec import GlobalModelSpec

SHAPES = ((64, 8), (64, 16), (128, 8), (128, 16), (256, 16))
"""(channels, side) of the convolutions that the peak is looked for among."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--batch", type=int, default=96)
    options.add_argument("--image-size", type=int, default=32)
    options.add_argument("--seconds", type=float, default=10.0)
    chosen = options.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    peak = max(conv_rate(c, side, chosen.batch, device) for c, side in SHAPES)
    model = demo_model(chosen.image_size).to(device)
    frames = torch.zeros(
        chosen.batch, model.config.context, 3, *2 * (chosen.image_size,), device=device
    )
    actions = torch.zeros(chosen.batch, model.config.context, 2, device=device)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        model.step(frames, actions, generator)

    with FlopCounterMode(display=False) as counter:
        step()
    seconds = median_seconds(step, chosen.seconds, device)
    rate = counter.get_total_flops() / seconds
    print(
        json.dumps(
            {
                "frames_per_second": round(chosen.batch / seconds),
                "gflop_per_frame": round(counter.get_total_flops() / chosen.batch / 1e9, 4),
                "gflops": round(rate / 1e9, 1),
                "conv_peak_gflops": round(peak / 1e9, 1),
                "share_of_peak": round(rate / peak, 3),
                "batch": chosen.batch,
                "image_size": chosen.image_size,
                "parameters": sum(p.numel() for p in model.denoiser.parameters()),
                "device": torch.cuda.get_device_name() if device.type == "cuda" else cpu(),
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
            },
            indent=1,
        )
    )


def demo_model(image_size: int) -> GlobalModel:
    """An untrained model of the demo preset's sizes: speed does not depend on the weights."""
    spec = GlobalModelSpec(dataset="ds_00000000")
    config = GlobalConfig(
        image_size=image_size,
        action_dim=2,
        context=spec.context,
        patch=spec.patch,
        channels=spec.channels,
        layers_per_block=spec.layers_per_block,
        sigma_max=spec.sigma_max,
        num_denoising_steps=spec.num_denoising_steps,
    )
    return GlobalModel(config).eval()


def conv_rate(channels: int, side: int, batch: int, device: torch.device) -> float:
    """Floating-point operations per second of one bf16 channels_last convolution."""
    conv = nn.Conv2d(channels, channels, 3, padding=1).to(device, torch.bfloat16)
    conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.zeros(batch, channels, side, side, device=device, dtype=torch.bfloat16)
    images = images.to(memory_format=torch.channels_last)
    flops = 2 * 9 * channels**2 * side**2 * batch
    with torch.no_grad():
        return flops / median_seconds(lambda: conv(images), 1.0, device)


def median_seconds(action: Callable[[], object], budget: float, device: torch.device) -> float:
    """Median time of one call, after a warm-up, over about `budget` seconds."""
    for _ in range(3):
        action()
    times = []
    until = time.perf_counter() + budget
    while time.perf_counter() < until:
        started = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def cpu() -> str:
    """Name of the processor, as far as the system tells."""
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
