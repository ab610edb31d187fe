"""What a job will take, from what jobs of its kind took on this installation.

Work, weights and activations are counted from the spec (`core/global_model`, `core/local_model`);
the speed and the memory per unit are measured: those of past runs, scaled. No past run, no guess.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

STARTUP_SECONDS = 8.0
"""Imports and the first batch, whatever the job's size."""
BASE_BYTES = 600e6
"""What a job process holds before it has a model."""
MOST_PAST = 10
FAR = 5.0
"""A past run of so many times more or less work is scaled with more reserve."""


class Past(NamedTuple):
    """A finished run: its spec, the side of its frames in pixels, and what it took."""

    spec: Mapping[str, Any]
    side: int
    seconds: float
    peak_memory_bytes: float | None = None
    disk_bytes: float | None = None
    world: Mapping[str, Any] | None = None
    """Spec of the global model that it imagined with."""
    training_seconds: float | None = None
    """The part of `seconds` that grows with the work; all but the start if nobody measured it."""


class Estimate(NamedTuple):
    """Medians of the scaled past runs, and the range of their seconds."""

    seconds: float
    seconds_low: float
    seconds_high: float
    memory_bytes: float | None
    disk_bytes: float | None
    runs: int
    scale: float
    """How many times as much work as the past runs (their median)."""


class Size(NamedTuple):
    """How large a job is, in units that only compare jobs of one kind."""

    work: float
    """Multiplications, roughly."""
    memory: float
    """Bytes of weights, optimizer and activations, roughly."""
    weights: float
    """Parameters that are trained."""


def estimate(
    kind: str,
    spec: Mapping[str, Any],
    side: int,
    past: Sequence[Past],
    world: Mapping[str, Any] | None = None,
) -> Estimate | None:
    """Scale the newest of `past` (newest first, of the same kind) to this spec; None without any.

    `world` is the spec of the global model that the job imagines with.
    """
    size = size_of(kind, spec, side, world)
    sizes = [(p, size_of(kind, p.spec, p.side, p.world)) for p in past[:MOST_PAST]]
    some = [(p, s) for p, s in sizes if s is not None]
    if size is None or not some:
        return None
    seconds = sorted(_scaled(p, size.work / s.work) for p, s in some)
    scale = median([size.work / s.work for _, s in some])
    # Few runs say little about how much runs differ, and far ones little about this one.
    least, most = (0.7, 1.5) if 1 / FAR <= scale <= FAR else (0.4, 2.5)
    memory = [
        BASE_BYTES + max(p.peak_memory_bytes - BASE_BYTES, 0) * size.memory / s.memory
        for p, s in some
        if p.peak_memory_bytes
    ]
    disk = [p.disk_bytes * size.weights / s.weights for p, s in some if p.disk_bytes]
    middle = median(seconds)
    return Estimate(
        seconds=middle,
        seconds_low=min(seconds[0], least * middle),
        seconds_high=max(seconds[-1], most * middle),
        memory_bytes=median(memory) if memory else None,
        disk_bytes=median(disk) if disk else None,
        runs=len(some),
        scale=scale,
    )


def _scaled(past: Past, ratio: float) -> float:
    """Start and end stay what they were; the part that trains grows with the work."""
    grows = past.training_seconds
    if grows is None:
        grows = max(past.seconds - STARTUP_SECONDS, 0)
    return max(past.seconds - grows, 0) + grows * ratio


def size_of(
    kind: str, spec: Mapping[str, Any], side: int, world: Mapping[str, Any] | None = None
) -> Size | None:
    """Counted from the fields of the specs; None if it imagines and nobody knows with what."""
    if kind == "global_model":
        return _global(spec, side)
    if kind == "local_model":
        return _local(spec, side)
    if kind not in ("policy", "evaluate", "rollout"):
        return Size(1.0, 1.0, 1.0)
    if world is None:
        return None
    step = denoiser_work(world, side) * world["num_denoising_steps"]
    if kind == "policy":
        batch = spec["environments"] * spec["horizon"]
        updates = 1 + spec["actor_updates"] + spec["critic_updates"] + 20 * spec["local_updates"]
        work = spec["steps"] * batch * (step + updates * 50_000.0)
        frames = batch + spec["replay_segments"] * spec["horizon"] / 4
        return Size(work, 12.0 * side**2 * frames, float(side**2))
    imagined = spec["horizon"] * (spec["episodes"] + (128 if kind == "evaluate" else 0))
    return Size(imagined * step, imagined * side**2, imagined * side**2)


def _global(spec: Mapping[str, Any], side: int) -> Size:
    weights = denoiser_weights(spec, side)
    frames = spec["batch_size"] * spec["autoregressive_steps"]
    work = 3 * spec["steps"] * frames * denoiser_work(spec, side)
    work += spec["reward_steps"] * 64 * 500 * 3 * side**2
    activations = 12 * spec["batch_size"] * denoiser_cells(spec, side)
    return Size(work, 20 * weights + 4 * activations, weights)


def _local(spec: Mapping[str, Any], side: int) -> Size:
    pixels, units = 3 * side**2, spec["units"]
    core = 3 * spec["deter"] * (spec["deter"] + spec["hidden"])
    weights = 2 * pixels * units + 2 * units**2 + 2 * core
    frames = spec["batch_size"] * spec["segment"]
    activations = frames * (2 * pixels + 8 * units + 12 * spec["deter"])
    return Size(3.0 * spec["steps"] * frames * weights, 16.0 * weights + 4 * activations, weights)


def denoiser_weights(spec: Mapping[str, Any], side: int) -> float:
    """Parameters of the U-Net: two 3x3 convolutions per residual layer, wider ones on the way up."""
    return sum(n * c_in * c for _, n, c_in, c in _levels(spec, side))


def denoiser_work(spec: Mapping[str, Any], side: int) -> float:
    """Multiplications of one frame through the U-Net."""
    return sum(cells * n * c_in * c for cells, n, c_in, c in _levels(spec, side))


def denoiser_cells(spec: Mapping[str, Any], side: int) -> float:
    """Numbers that one frame leaves behind for the backward pass."""
    layers = 2.0 * int(spec["layers_per_block"]) + 1
    width = side / float(spec["patch"])
    cells = [(width * 0.5**level) ** 2 * float(c) for level, c in enumerate(spec["channels"])]
    return layers * sum(cells)


def _levels(spec: Mapping[str, Any], side: int) -> list[tuple[float, float, float, float]]:
    """(pixels, kernel sums, channels in, channels out) of each level, and of the middle."""
    channels, layers = list(spec["channels"]), spec["layers_per_block"]
    found = []
    for level, c in enumerate(channels):
        cells = (side / spec["patch"] / 2**level) ** 2
        # Down: 2 convolutions a layer; up: one layer more, whose first sees twice the channels.
        # Time enters each by a projection of 4 first channels to 2 c; 1x1 shortcuts on the way up.
        kernels = 18 * layers + (27 + 2) * (layers + 1)
        time = (2 * layers + 1) * 8 * channels[0] / c
        sampling = 18.0 if level < len(channels) - 1 else 0.0
        found.append((cells, kernels + time + sampling, float(c), float(c)))
    deepest = channels[-1]
    cells = (side / spec["patch"] / 2 ** (len(channels) - 1)) ** 2
    found.append((cells, 36.0 + 16 * channels[0] / deepest, float(deepest), float(deepest)))
    return found


def median(values: Sequence[float]) -> float:
    """Of at least one value."""
    ordered, middle = sorted(values), len(values) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


class Waiting(NamedTuple):
    """When a queued job will start, as far as one can tell."""

    seconds: float | None
    """None if a job ahead cannot be estimated."""
    ahead: int
    """Jobs of its queue that come first, running ones included."""


def queue_starts(
    jobs: Sequence[tuple[str, str, float | None, Sequence[str]]],
) -> dict[str, Waiting]:
    """One worker per queue, oldest first. A job is (id, queue, seconds it still takes, waits for).

    `jobs` are those not ended, running ones first, then queued ones by age.
    """
    free: dict[str, float | None] = {}
    count: dict[str, int] = {}
    ends: dict[str, float | None] = {}
    found = {}
    for name, queue, takes, waits in jobs:
        times = [free.get(queue, 0.0), *(ends[w] for w in waits if w in ends)]
        known = [t for t in times if t is not None]
        start = max(known) if len(known) == len(times) else None
        found[name] = Waiting(start, count.get(queue, 0))
        ends[name] = free[queue] = None if start is None or takes is None else start + takes
        count[queue] = count.get(queue, 0) + 1
    return found
