"""Files that are whole, with contents that nobody could learn from."""

import numpy as np

from tests.data.makers import log, npz_bytes
from tests.malformed.seeds import FRAMES, Case, Kind, npz_case, packed

_STEPS = FRAMES - 1


def not_finite(rng: np.random.Generator, n: int) -> Case:
    key, shape = (
        ("action", (_STEPS, 2)),
        ("state", (FRAMES, 3)),
        ("reward", (_STEPS,)),
        ("image", (FRAMES, 16, 16, 3)),
    )[n % 4]
    values = rng.random(shape).astype(np.float32)
    values.flat[int(rng.integers(values.size))] = (np.nan, np.inf, -np.inf)[n % 3]
    return npz_case(**{key: values})


def ragged_lengths(rng: np.random.Generator, n: int) -> Case:
    key, width = (("action", (2,)), ("state", (3,)), ("reward", ()))[n % 3]
    rows = int(rng.choice([r for r in range(1, 40) if r not in (_STEPS, FRAMES)]))
    return npz_case(**{key: rng.random((rows, *width))})


def time_backward(rng: np.random.Generator, n: int) -> Case:
    stamps = np.arange(FRAMES) / 10
    at = 1 + int(rng.integers(FRAMES - 1))
    stamps[at] = stamps[at - 1] - (0.05, 1e9, 0.0)[n % 3]
    return npz_case(timestamp=stamps[::-1] if n % 4 == 3 else stamps)


def short_episodes(rng: np.random.Generator, n: int) -> Case:
    """None, one or two frames; or one usable episode in all."""
    if n % 4 == 3:
        return Case("logs.zip", packed({"ep_0.npz": npz_bytes(log(n))}))
    frames = n % 4 // 2
    empty = {
        "image": np.zeros((frames, 16, 16, 3), np.uint8),
        "action": np.zeros((max(0, frames - n % 2), 2)),
        "state": np.zeros((frames, 3)),
        "reward": np.zeros(max(0, frames - n % 2)),
        "done": np.zeros(max(0, frames - n % 2), bool),
    }
    return npz_case(**empty)


def wrong_width(rng: np.random.Generator, n: int) -> Case:
    width = (0, 1, 3, 5000, 100_000)[n % 5]
    key, rows = (("action", _STEPS), ("state", FRAMES))[n // 5 % 2]
    return npz_case(**{key: rng.random((rows, width + (key == "state" and width == 3)))})


def wrong_pictures(rng: np.random.Generator, n: int) -> Case:
    """Four channels, no pixels, wrong ranges, all the same, of another size."""
    values = (
        np.zeros((FRAMES, 16, 16, 4), np.uint8),
        np.zeros((FRAMES, 0, 16, 3), np.uint8),
        rng.integers(0, 60_000, (FRAMES, 16, 16, 3), dtype=np.uint16),
        np.full((FRAMES, 16, 16, 3), 7, np.uint8),
        np.zeros((FRAMES, 2, 16, 16, 3), np.uint8),
        rng.random((FRAMES, 16, 16, 3)) * -5,
        np.zeros((FRAMES, 16, 16), bool),
    )[n % 7]
    return npz_case(image=values)


def copies(rng: np.random.Generator, n: int) -> Case:
    """The same episode twice."""
    same = npz_bytes(log(n, FRAMES))
    other = npz_bytes(log(n + 1, FRAMES))
    return Case("logs.zip", packed({"a.npz": same, "b.npz": same, "c.npz": other}))


KINDS: dict[str, Kind] = {
    f.__name__: f
    for f in (
        *(not_finite, ragged_lengths, time_backward, short_episodes, wrong_width),
        *(wrong_pictures, copies),
    )
}
