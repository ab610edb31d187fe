"""Imagined frames per second, and the share of this machine's measured convolution peak.

    python -m benchmarks.sampler --home .foglab [--full] [--seconds 4] [--busy]

By number of environments, resolution, denoising steps and precision; `--full` measures the whole
grid. The peak is the best rate of one 3x3 convolution over several shapes, in the same process,
precision and memory layout (fp32 as the library does it, so TF32 on recent GPUs). Weights are
untrained: speed does not depend on them. Needs a quiet machine, and refuses to measure on another
unless told `--busy`, which writes no table.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.harness import Row, Settings, Summary, measure_rows, parser, publish, work_folder
from benchmarks.machine import cpu
from benchmarks.plots import COLOURS, GREY
from benchmarks.terminal import print_summary
from core.devices import bf16_pays, generator_for
from core.evaluation.statistics import bootstrap_interval
from core.global_model.model import GlobalConfig, GlobalModel
from core.jobs.spec import GlobalModelSpec
from core.stages.setup import device

BATCHES, SIZES, STEPS = (1, 16, 96, 256), (32, 64, 96), (1, 3)
SHAPES = {
    "cpu": ((64, 8, 96), (64, 16, 96), (128, 8, 96), (128, 16, 96), (256, 16, 96)),
    "cuda": ((64, 16, 256), (128, 32, 256), (256, 32, 256), (512, 16, 256), (512, 32, 256)),
}
"""(channels, side, batch) of the convolutions that the peak is looked for among."""
BUSY = 15.0
"""Percent of the processor in use by others above which a speed would be measured too low."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--full", action="store_true", help="every combination")
    options.add_argument("--seconds", type=float, default=4.0, help="for each row")
    options.add_argument("--busy", action="store_true", help="measure beside other work, to try")
    chosen = options.parse_args()
    grid = [
        {
            "device": device_name(),
            "image_size": size,
            "batch": batch,
            "steps": steps,
            "precision": p,
        }
        for size, steps, p, batch in product(SIZES, STEPS, precisions(), BATCHES)
        if chosen.full or in_short_grid(size, steps, batch)
    ]
    work = work_folder(chosen.home, "sampler_busy" if chosen.busy else "sampler")
    rows = measure_rows(work, grid, partial(speed, seconds=chosen.seconds, busy=chosen.busy))
    if chosen.busy:
        print_summary("measured beside other work", summary_of(rows))
    else:
        publish_rows(rows, chosen.results)


def in_short_grid(size: int, steps: int, batch: int) -> bool:
    """All batches at the smallest size; one batch for more pixels and for more steps."""
    return (size == SIZES[0] and steps == 1) or (batch == 16 and steps == 1) or (
        size == SIZES[0] and batch == 96
    )  # fmt: skip


def precisions() -> tuple[str, ...]:
    """bf16 where it pays: elsewhere the product does not use it either."""
    return ("bf16", "fp32") if bf16_pays(device().type) else ("fp32",)


def device_name() -> str:
    """The GPU, or processor and threads."""
    if device().type == "cuda":
        return torch.cuda.get_device_name()
    return f"{cpu()}, {torch.get_num_threads()} threads"


def speed(settings: Settings, seconds: float, busy: bool) -> dict[str, Any]:
    """Frames per second of one cell, and its share of the peak."""
    others = psutil.cpu_percent(interval=1.0)
    if others > BUSY and not busy:
        raise SystemExit(
            f"other programs use {others:.0f} % of the processor: a speed measured now would be "
            "too low. Wait until the machine is quiet (finished rows are kept), or try with --busy"
        )
    bf16 = settings["precision"] == "bf16"
    batch, size = settings["batch"], settings["image_size"]
    model = demo_model(size, settings["steps"], bf16).to(device())
    frames = torch.zeros(batch, model.config.context, 3, size, size, device=device())
    actions = torch.zeros(batch, model.config.context, 2, device=device())
    step = partial(model.step, frames, actions, generator_for(device(), 0))
    with FlopCounterMode(display=False) as counter:
        step()
    flops, best = counter.get_total_flops(), peak(bf16)
    times = np.array(repeat(step, seconds))
    slow, fast = bootstrap_interval(lambda t: -float(np.median(t)), times[:500], resamples=500)
    middle = float(np.median(times))
    return {
        "frames_per_second": batch / middle,
        "interval": [-batch / slow, -batch / fast],
        "gflop_per_frame": flops / batch / 1e9,
        "gflops": flops / middle / 1e9,
        "peak_gflops": best / 1e9,
        "share_of_peak": flops / middle / best,
        "parameters": sum(p.numel() for p in model.denoiser.parameters()),
        "others_percent": others,
    }


def demo_model(image_size: int, steps: int, bf16: bool) -> GlobalModel:
    """An untrained model of the demo preset's sizes."""
    return untrained(GlobalModelSpec(dataset="ds_00000000"), image_size, steps, bf16)


def untrained(spec: GlobalModelSpec, image_size: int, steps: int, bf16: bool) -> GlobalModel:
    """A model of a spec's sizes, but for its denoising steps."""
    config = GlobalConfig(
        image_size=image_size,
        action_dim=2,
        context=spec.context,
        patch=spec.patch,
        channels=spec.channels,
        layers_per_block=spec.layers_per_block,
        sigma_max=spec.sigma_max,
        num_denoising_steps=steps,
        bf16=bf16,
    )
    return GlobalModel(config).eval()


@cache
def peak(bf16: bool) -> float:
    """Best floating-point operations per second of one channels_last convolution."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    return max(conv_rate(*shape, dtype) for shape in SHAPES[device().type])


def conv_rate(channels: int, side: int, batch: int, dtype: torch.dtype) -> float:
    """Floating-point operations per second of one 3x3 convolution."""
    conv = nn.Conv2d(channels, channels, 3, padding=1).to(device(), dtype)
    conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.zeros(batch, channels, side, side, device=device(), dtype=dtype)
    images = images.to(memory_format=torch.channels_last)
    flops = 2 * 9 * channels**2 * side**2 * batch
    with torch.no_grad():
        return flops / statistics.median(repeat(lambda: conv(images), 1.0))


def repeat(action: Callable[[], object], budget: float) -> list[float]:
    """Seconds of each call, after a warm-up, over about `budget` seconds."""
    for _ in range(3):
        timed(action)
    times: list[float] = []
    until = time.perf_counter() + budget
    while time.perf_counter() < until or len(times) < 5:
        times.append(timed(action))
    return times


def timed(action: Callable[[], object]) -> float:
    """Seconds of one call, until the device has finished it."""
    started = time.perf_counter()
    action()
    if device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def publish_rows(rows: Sequence[Row], results: Path) -> Path:
    """One line for each cell; frames per second by batch."""
    claim = "imagined frames per second (median) and their share of the device's measured peak"
    name = "sampler" if device().type == "cpu" else f"sampler_{device().type}"
    return publish(name, claim, rows, summary_of(rows), partial(draw, rows=rows), results)


def summary_of(rows: Sequence[Row]) -> Summary:
    """What is shown of each row."""
    names = ("device", "image_size", "steps", "precision", "batch")
    return [
        {name: r[name] for name in names}
        | {"frames_per_second": {"mean": r["frames_per_second"], "interval": r["interval"]}}
        | {k: r[k] for k in ("gflop_per_frame", "gflops", "peak_gflops", "share_of_peak")}
        for r in rows
    ]


def draw(figure: Figure, rows: Sequence[Row]) -> None:
    """Colour: resolution; dashed and hollow: fp32; squares: more denoising steps."""
    figure.set_size_inches(9.6, 4.4)
    left, right = figure.subplots(1, 2)
    cells = {(r["image_size"], r["steps"], r["precision"]) for r in rows}
    for size, steps, precision in sorted(cells):
        of_cell = [
            r
            for r in rows
            if (r["image_size"], r["steps"], r["precision"]) == (size, steps, precision)
        ]
        label = f"{size} px, {steps} step{'s' if steps > 1 else ''}, {precision}"
        colour = COLOURS[SIZES.index(size)] if size in SIZES else GREY
        style = ("o" if steps == 1 else "s") + ("-" if precision == "bf16" else "--")
        look = {"color": colour, "mfc": colour if precision == "bf16" else "white"}
        batches = [r["batch"] for r in of_cell]
        left.plot(batches, [r["frames_per_second"] for r in of_cell], style, **look)
        shares = [100 * r["share_of_peak"] for r in of_cell]
        right.plot(batches, shares, style, label=label, **look)
    left.set_yscale("log")
    left.set_ylabel("imagined frames per second")
    right.set_ylabel("share of the measured convolution peak, %")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xlabel("imagined environments side by side")
        axes.set_xticks(BATCHES, [str(b) for b in BATCHES])
        axes.minorticks_off()
    figure.suptitle(rows[0]["device"])
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=4)


if __name__ == "__main__":
    main()
